/** Words of the command line that are not UTF-8. */
import { readFileSync } from 'node:fs';
import { RootfsError } from '../index.js';

const REPLACED = '\uFFFD';

/**
 * Refuses words whose bytes are no UTF-8: Node has put other characters in their place, so that they name something
 * else than what was meant, and it would be made without a word. Where /proc does not say what was given, the words
 * are taken as they are.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function refuseOtherBytes(words: readonly string[]): void {
  const suspects = words.filter((word) => word.includes(REPLACED));
  if (suspects.length === 0) return;
  for (const given of readGiven()) {
    const read = given.toString();
    if (!suspects.includes(read) || Buffer.from(read).equals(given)) continue;
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${JSON.stringify(read)}: expected text in UTF-8, found other bytes; give the path a name in UTF-8, a symbolic link will do`,
    );
  }
}

function readGiven(): Buffer[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync('/proc/self/cmdline');
  } catch {
    return [];
  }
  const words: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    const stop = end < 0 ? bytes.length : end;
    words.push(bytes.subarray(at, stop));
    at = stop + 1;
  }
  return words;
}
