/** What a test does at its end: the last thing first, so that a server ends before the folder it writes into goes. */

/** Anything that can run a function at its end: node:test's context. */
export interface Ends {
  after(fn: () => void | Promise<void>): void;
}

const known = new WeakMap<Ends, (() => unknown)[]>();

/** Runs `work` when the test ends: node:test runs what came first first, and nothing more after a failure. */
export function atEnd(t: Ends, work: () => unknown): void {
  const works = known.get(t);
  if (works !== undefined) {
    works.push(work);
    return;
  }
  const all = [work];
  known.set(t, all);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const one of all.reverse()) {
      try {
        await one();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
}
