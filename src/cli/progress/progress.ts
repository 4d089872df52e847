/** Progress on stderr: picks the display and keeps it out of the way of data and notes. */
import { printable } from '../printable.js';
import type { ProgressDisplay } from './display.js';

/**
 * Makes the display that `--progress` names. Bars need a terminal that can move its cursor; without one, and under
 * `--json`, they are lines.
 */
export async function createProgress(kind: unknown, quiet: boolean, json: boolean): Promise<ProgressDisplay> {
  const terminal = process.stderr.isTTY === true && process.env['TERM'] !== 'dumb';
  const wanted = kind === 'auto' || kind === undefined ? (json ? 'plain' : 'bars') : kind;
  const chosen = wanted === 'bars' && !terminal ? 'plain' : wanted;
  if (quiet || chosen === 'none') return silent(quiet);
  if (chosen === 'json') return (await import('./json-lines.js')).jsonLines();
  if (chosen === 'bars') return (await import('./bars.js')).bars();
  return (await import('./plain-lines.js')).plainLines();
}

function silent(quiet: boolean): ProgressDisplay {
  return {
    listen: (event) => {
      if (!quiet && event.type === 'warning:raised')
        process.stderr.write(`rootfs: warning: ${printable(event.message)}\n`);
    },
    note: (line) => void process.stderr.write(`${printable(line)}\n`),
    end: () => {},
  };
}
