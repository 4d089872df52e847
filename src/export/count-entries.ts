/** How many entries, in words: `1 entry`, `2 entries`. */
export function countEntries(entries: number): string {
  return `${entries} ${entries === 1 ? 'entry' : 'entries'}`;
}
