/** The word that was probably meant: for messages about typing errors. */

/**
 * Finds the candidate nearest to `word` by letters added, dropped, replaced or swapped with their neighbour; capitals
 * are no difference.
 *
 * @returns `undefined` where none is near: a wrong guess is worse than none
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const most = Math.max(1, Math.floor(word.length / 3));
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of candidates) {
    const apart = distance(word.slice(0, 40).toLowerCase(), name);
    if (apart <= most && (best === undefined || apart < best.distance)) best = { name, distance: apart };
  }
  return best?.name;
}

function distance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const swapped = i > 0 && j > 0 && a[i] === b[j - 1] && a[i - 1] === b[j];
      next.push(
        Math.min(
          (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1),
          (row[j + 1] ?? 0) + 1,
          (next[j] ?? 0) + 1,
          swapped ? (before[j - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
