/** Contestants whose output is new each round. */
import { rmSync } from 'node:fs';
import { type Contestant, type Run, runOnce } from './measure.js';
import type { Place } from './place.js';

/** Measures what writes to `out`. */
export type Measure = (out: string) => Promise<Run>;

/** A command that writes to `out`. */
export const command =
  (words: (out: string) => readonly string[]): Measure =>
  (out) =>
    runOnce(words(out));

/** Where it writes to: a folder that is there, or a path that is not, with `suffix` at its end. */
export interface FreshOptions {
  readonly folder?: boolean;
  readonly suffix?: string;
}

/** What is measured writes into a fresh place each round, which is removed after it. */
export function fresh(place: Place, name: string, measure: Measure, options: FreshOptions = {}): Contestant {
  return {
    name,
    run: async (): Promise<Run> => {
      const out = options.folder === true ? place.freshFolder() : `${place.fresh()}${options.suffix ?? ''}`;
      place.settle();
      try {
        return await measure(out);
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
  };
}
