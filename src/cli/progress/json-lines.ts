/** Progress for programs: every event as one line of JSON on stderr. */
import { printableJson } from '../printable.js';
import type { ProgressDisplay } from './display.js';

/** Makes the display. */
export function jsonLines(): ProgressDisplay {
  const write = (value: unknown): void => void process.stderr.write(`${printableJson(JSON.stringify(value))}\n`);
  return { listen: write, note: (line) => write({ type: 'note:written', message: line }), end: () => {} };
}
