/** What came from an image or a registry, made safe for a terminal. */

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

/** What JSON leaves as it is, and terminals obey: JSON itself writes out no more than what stands before the blank. */
const OBEYED_IN_JSON = /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;

/** JSON text of the same value, with all that `printable` writes out written as JSON does: `\u009b`. */
export function printableJson(json: string): string {
  return json.replace(OBEYED_IN_JSON, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
