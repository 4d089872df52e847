/** Text that came from an image or a registry, made safe for a terminal. */

// A terminal must not obey it, it must not turn round what stands beside it, and it must not begin a line of its own:
// whoever reads a log would take that for ours, and some build services for a command.
const OBEYED = /[^\P{Cc}\t]|[\u2028-\u202e\u2066-\u2069]/gu;

/** Writes out control characters (but tab), ends of lines too, and those that turn the direction of text: `\x1b`, `\u202e`. */
export function printable(text: string): string {
  return text.replace(OBEYED, (char) => {
    const code = char.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}
