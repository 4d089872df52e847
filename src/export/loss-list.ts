/** What an image has and its new form cannot keep. */
import type { Loss } from './unpack-options.js';

/** Counts what cannot be kept, by kind. */
export class LossList {
  readonly #losses = new Map<Loss['what'], Loss>();
  /** The path that was noted last of each kind. */
  readonly #last = new Map<Loss['what'], string>();

  /** Notes one entry; the first of a kind is its example. What else of the same kind is lost of it follows at once. */
  add(what: Loss['what'], path: string): void {
    if (this.#last.get(what) === path) return;
    this.#last.set(what, path);
    const known = this.#losses.get(what);
    const example = known?.example ?? Buffer.from(path, 'latin1').toString();
    this.#losses.set(what, { what, entries: (known?.entries ?? 0) + 1, example });
  }

  /** Takes in what was counted elsewhere. */
  merge(losses: readonly Loss[]): void {
    for (const loss of losses) {
      const known = this.#losses.get(loss.what);
      this.#losses.set(loss.what, known === undefined ? loss : { ...known, entries: known.entries + loss.entries });
    }
  }

  list(): Loss[] {
    return [...this.#losses.values()];
  }
}
