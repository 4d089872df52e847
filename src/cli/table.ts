/** Text in columns, for people. */

/** Lays rows out in columns two spaces apart; control characters of the content, ends of lines in every script, and
 * those that turn the direction of text are made visible. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const safe = rows.map((row) => row.map((cell) => cell.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, '?')));
  const widths: number[] = [];
  for (const row of safe) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  // Nothing stands beside the last cell: padded, each of many would be as long as the longest, which an image chooses.
  const padded = (cell: string, at: number, { length }: readonly string[]): string => {
    const width = widths[at] ?? 0;
    if (right.includes(at)) return cell.padStart(width);
    return at === length - 1 ? cell : cell.padEnd(width);
  };
  return safe
    .map((row) => row.map(padded).join('  ').trimEnd())
    .map((line) => `${line}\n`)
    .join('');
}
