/** Passing over the strings of a JSON text before it is parsed, without a look at each of their bytes. */

/**
 * Where the string ends whose quote stands at `start`: at the next quote behind an even number of backslashes. The length
 * of the text where there is none.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8259#section-7
 */
export function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; ; at++) {
    at = bytes.indexOf(0x22, at);
    if (at < 0) return bytes.byteLength;
    let backslashes = 0;
    while (bytes[at - 1 - backslashes] === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
}
