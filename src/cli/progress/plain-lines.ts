/** Progress without a terminal: a line when something starts or goes wrong, and one every few seconds. */
import { printable } from '../printable.js';
import { formatCount, formatSize } from '../quantity.js';
import type { ProgressDisplay } from './display.js';
import { retryLine } from './retry-line.js';
import { Totals } from './totals.js';

const EVERY_MS = 3000;
const PROGRESSED: ReadonlySet<string> = new Set(['layer:progressed', 'blob:progressed']);

/** Makes the display. */
export function plainLines(): ProgressDisplay {
  const totals = new Totals();
  const write = (line: string): void => void process.stderr.write(`rootfs: ${printable(line)}\n`);
  let last = Date.now();
  const sum = (): string =>
    `${totals.layersDone} of ${formatCount(totals.layers, totals.noun)}, ${formatSize(totals.fetchedBytes)} of ${formatSize(totals.compressedBytes)} fetched`;
  return {
    listen: (event) => {
      totals.add(event);
      if (event.type === 'image:resolved') write(`${event.reference} is ${event.digest}`);
      else if (event.type === 'warning:raised') write(`warning: ${event.message}`);
      else if (event.type === 'request:retried') write(retryLine(event));
      else if (PROGRESSED.has(event.type) && Date.now() - last >= EVERY_MS) {
        last = Date.now();
        write(sum());
      }
    },
    note: (line) => void process.stderr.write(`${printable(line)}\n`),
    end: () => {},
  };
}
