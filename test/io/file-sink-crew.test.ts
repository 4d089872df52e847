import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { test } from 'node:test';
import { closeFileSinks, type SinkListener, type SinkWorker, sinkWorker } from '../../src/io/file-sink-crew.js';

const LISTENER: SinkListener = { answered: () => {}, died: () => {} };
const skip = availableParallelism() < 2 ? 'one core has one worker' : false;

test('what is largest shares its worker with least', { skip }, async (t) => {
  const cores = Math.min(availableParallelism(), 4);
  const chosen: SinkWorker[] = [];
  const serve = (bytes: number): SinkWorker => {
    const worker = sinkWorker();
    chosen.push(worker);
    worker.serve(chosen.length, LISTENER, bytes);
    return worker;
  };
  t.after(async () => {
    for (const [at, worker] of chosen.entries()) worker.leave(at + 1);
    await closeFileSinks();
  });
  const largest = serve(120);
  const others = Array.from({ length: cores - 1 }, () => serve(70));
  assert.equal(new Set([largest, ...others]).size, cores, 'as long as there may be more, each has its own');
  for (const bytes of [49, 10]) {
    for (let at = 1; at < cores; at += 1) assert.ok(others.includes(serve(bytes)), 'together they have less to take');
  }
  assert.equal(serve(1), largest, 'now it has least');
});
