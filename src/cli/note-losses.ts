/** Tells on stderr what of an image was lost where that was allowed: the same line after every command. */
import type { Loss } from '../index.js';
import type { Context } from './command.js';
import { formatCount } from './quantity.js';

/** Tells it. */
export function noteLosses(losses: readonly Loss[], context: Context): void {
  for (const { what, entries, example } of losses) {
    const count = formatCount(entries, 'entry', 'entries');
    context.note(`rootfs: warning: ${what} of ${count} are lost, ${example} among them`);
  }
}
