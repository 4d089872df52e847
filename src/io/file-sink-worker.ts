/** Entry of the worker that writes and hashes what file sinks are given, in the order in which it comes. */
import { createHash, type Hash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { SinkAnswer, SinkMessage } from './file-sink-task.js';
import { packError } from './worker-task.js';

interface OpenSink {
  readonly fd: number;
  readonly hash: Hash;
  failed: boolean;
}

const sinks = new Map<number, OpenSink>();

function write(sink: OpenSink, { memory, offset, length, position }: Extract<SinkMessage, { kind: 'write' }>): void {
  const chunk = new Uint8Array(memory, offset, length);
  for (let done = 0; done < length; ) done += writeSync(sink.fd, chunk, done, length - done, position + done);
  sink.hash.update(chunk);
}

function answer(message: SinkMessage): SinkAnswer | undefined {
  const { sink: id } = message;
  if (message.kind === 'open') {
    sinks.set(id, { fd: message.fd, hash: createHash(message.algorithm), failed: false });
    return undefined;
  }
  const sink = sinks.get(id);
  if (message.kind === 'end') {
    sinks.delete(id);
    return { sink: id, hash: sink?.hash.digest('hex') };
  }
  if (sink === undefined || sink.failed) return { sink: id };
  try {
    write(sink, message);
    return { sink: id };
  } catch (error) {
    sink.failed = true;
    return { sink: id, error: packError(error) };
  }
}

parentPort?.on('message', (message: SinkMessage) => {
  const said = answer(message);
  if (said !== undefined) parentPort?.postMessage(said);
});
