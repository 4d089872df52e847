/** Lists: a line each as they come, or one JSON value at the end. */
import type { Arguments, Context } from './command.js';
import { printable } from './printable.js';

/**
 * Prints a list that comes piece by piece.
 *
 * @param line What one item is as a line, without its end; control characters in it are written out.
 */
export async function printList<T>(
  args: Arguments,
  context: Context,
  items: AsyncIterable<T> | Iterable<T>,
  line: (item: T) => string,
): Promise<void> {
  if (args['json'] === true) {
    const all: T[] = [];
    for await (const item of items) all.push(item);
    context.endProgress();
    return context.write(`${JSON.stringify(all)}\n`);
  }
  context.endProgress();
  for await (const item of items) await context.write(`${printable(line(item))}\n`);
}
