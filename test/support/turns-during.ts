/** How often a long work on the main thread lets others have their turn, whatever time it takes here. */
import type { TestContext } from 'node:test';

/** Turns of the event loop while `work` goes on, where each look at the clock finds that it is time for others. */
export async function turnsDuring(t: TestContext, work: () => Promise<unknown>): Promise<number> {
  let clock = performance.now();
  const now = t.mock.method(performance, 'now', () => {
    clock += 1000;
    return clock;
  });
  let turns = 0;
  let ended = false;
  const count = (): void => {
    turns += 1;
    if (!ended) setImmediate(count);
  };
  setImmediate(count);
  try {
    await work();
  } finally {
    ended = true;
    now.mock.restore();
  }
  return turns;
}
