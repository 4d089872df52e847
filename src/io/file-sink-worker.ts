/** Entry of the worker that writes and hashes what file sinks are given, in the order in which it comes. */
import { createHash, type Hash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type SinkAnswer, type SinkMessage, SLOT_BYTES } from './file-sink-task.js';
import { packError } from './worker-task.js';

interface OpenSink {
  readonly fd: number;
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  failed: boolean;
}

const sinks = new Map<number, OpenSink>();

function write(sink: OpenSink, slot: number, length: number, position: number): void {
  const chunk = sink.bytes.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + length);
  for (let done = 0; done < length; ) done += writeSync(sink.fd, chunk, done, length - done, position + done);
  sink.hash.update(chunk);
}

function answer(message: SinkMessage): SinkAnswer | undefined {
  const { sink: id } = message;
  if (message.kind === 'open') {
    const { fd, algorithm, memory } = message;
    sinks.set(id, { fd, hash: createHash(algorithm), bytes: new Uint8Array(memory), failed: false });
    return undefined;
  }
  const sink = sinks.get(id);
  if (message.kind === 'end') {
    sinks.delete(id);
    return { sink: id, hash: sink?.hash.digest('hex') };
  }
  if (sink === undefined || sink.failed) return { sink: id };
  try {
    write(sink, message.slot, message.length, message.position);
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
