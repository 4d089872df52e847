/** Text that came from an image or a registry, made safe for a terminal. */

// A terminal must not obey it, and it must not turn round what stands beside it.
const OBEYED = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu;

/** Writes out control characters (but tab and newline) and those that turn the direction of text: `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return text.replace(OBEYED, (char) => {
    const code = char.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}
