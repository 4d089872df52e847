/** Progress on a terminal: one bar for each running layer and one for the whole. */
import cliProgress from 'cli-progress';
import pc from 'picocolors';
import { printable } from '../printable.js';
import { formatCount, formatSize } from '../quantity.js';
import type { ProgressDisplay } from './display.js';
import { retryLine } from './retry-line.js';
import { Totals } from './totals.js';

const MAX_BARS = 8;

/** Makes the display. Colours obey NO_COLOR. */
export function bars(): ProgressDisplay {
  const colors = pc.createColors(pc.isColorSupported && process.env['NO_COLOR'] === undefined);
  const totals = new Totals();
  const multi = new cliProgress.MultiBar(
    {
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      forceRedraw: true,
      fps: 10,
      barsize: 24,
      autopadding: true,
      format: `${colors.cyan('{bar}')} {percentage}% {name} {size}`,
      gracefulExit: false,
    },
    cliProgress.Presets.rect,
  );
  const running = new Map<string, cliProgress.SingleBar>();
  let total: cliProgress.SingleBar | undefined;
  let ended = false;
  const log = (line: string): void => {
    if (ended || total === undefined) process.stderr.write(`${printable(line)}\n`);
    else multi.log(`${printable(line)}\n`);
  };
  const drawTotal = (): void => {
    const bytes = totals.fetchedBytes;
    total?.update(bytes, {
      name: `${totals.layersDone}/${formatCount(totals.layers, totals.noun)}`,
      size: `${formatSize(bytes)} of ${formatSize(totals.compressedBytes)}`,
    });
  };
  const end = (): void => {
    if (ended) return;
    ended = true;
    process.removeListener('exit', end);
    multi.stop();
  };
  // Also where the process ends in the middle, by a second Ctrl-C or because the reader of stdout has gone: a terminal
  // would be left without its cursor.
  process.once('exit', end);
  return {
    listen: (event) => {
      if (ended) return;
      totals.add(event);
      switch (event.type) {
        case 'layers:planned':
        case 'blobs:planned':
          total ??= multi.create(1, 0, { name: '', size: '' });
          total.setTotal(Math.max(1, totals.compressedBytes));
          drawTotal();
          break;
        case 'layer:started':
        case 'blob:started':
          if (running.size < MAX_BARS) {
            const name = event.digest.replace(/^[a-z0-9]+:/, '').slice(0, 12);
            const bytes = event.type === 'blob:started' ? event.bytes : event.compressedBytes;
            running.set(event.digest, multi.create(Math.max(1, bytes), 0, { name, size: formatSize(bytes) }));
          }
          break;
        case 'layer:progressed':
        case 'blob:progressed':
          running.get(event.digest)?.update(event.type === 'blob:progressed' ? event.copiedBytes : event.fetchedBytes);
          drawTotal();
          break;
        case 'layer:finished':
        case 'blob:copied': {
          const bar = running.get(event.digest);
          if (bar !== undefined) multi.remove(bar);
          running.delete(event.digest);
          drawTotal();
          break;
        }
        case 'warning:raised':
          log(`rootfs: warning: ${event.message}`);
          break;
        case 'request:retried':
          log(`rootfs: ${retryLine(event)}`);
          break;
        default:
      }
    },
    note: log,
    end,
  };
}
