/** Text in columns, for people. */

/** Lays rows out in columns two spaces apart; control characters of the content, ends of lines in every script, and
 * those that turn the direction of text are made visible. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const safe = rows.map((row) => row.map((cell) => cell.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, '?')));
  const widths: number[] = [];
  for (const row of safe) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return safe
    .map((row) =>
      row
        .map((cell, at) => (right.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}
