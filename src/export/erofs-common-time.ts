/** The time that most inodes of an image have: those are written shorter. */
import type { Timestamp } from '../rootfs/tree.js';

/** Where times are many, none is common: only the first ones are counted. */
const COUNTED_TIMES = 4096;

/** A time, and how many inodes have it. */
interface CountedTime {
  readonly time: Timestamp;
  uses: number;
}

/** Counts times. */
export class CommonTime {
  readonly #times = new Map<number, CountedTime>();
  #last: CountedTime | undefined;

  /** Counts the time of one inode. */
  count(time: Timestamp): void {
    // Neighbours of one layer share theirs.
    if (this.#last?.time === time) {
      this.#last.uses += 1;
      return;
    }
    // Past 53 bits two moments may share a count; which one wins matters to size alone.
    const key = time.seconds * 1e9 + time.nanoseconds;
    const seen = this.#times.get(key);
    if (seen !== undefined) {
      seen.uses += 1;
      if (seen.time === time) this.#last = seen;
    } else if (this.#times.size < COUNTED_TIMES) {
      this.#last = { time, uses: 1 };
      this.#times.set(key, this.#last);
    }
  }

  /** The time that was counted most; of several the one that came first, of none the epoch. */
  get commonest(): Timestamp {
    let found: CountedTime = { time: { seconds: 0, nanoseconds: 0 }, uses: 0 };
    for (const counted of this.#times.values()) if (counted.uses > found.uses) found = counted;
    return found.time;
  }
}
