/** What every display of progress is. */
import type { ProgressListener } from '../../index.js';

/** A display of progress. */
export interface ProgressDisplay {
  readonly listen: ProgressListener;
  /** Writes one line for people without tearing the display. */
  note(line: string): void;
  /** Takes the display off the terminal; a second call does nothing. */
  end(): void;
}
