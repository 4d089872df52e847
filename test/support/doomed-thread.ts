/** Threads that are given up in the middle of their work, as an embedder does with `terminate`. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** Runs an ES module's text in a thread, which then hangs; returns when the text is done. Whoever calls terminates it. */
export async function doomedThread(text: string): Promise<Worker> {
  const after = `const { parentPort } = await import('node:worker_threads');
    parentPort.postMessage('done');
    setInterval(() => {}, 60_000);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(`${text}\n${after}`)}`));
  await once(worker, 'message');
  return worker;
}
