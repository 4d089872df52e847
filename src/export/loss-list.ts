/** What an image has and its new form cannot keep. */
import type { Loss } from './unpack-options.js';

/** Counts what cannot be kept, by kind. */
export class LossList {
  readonly #losses = new Map<Loss['what'], Loss>();

  /** Notes one entry; the first of a kind is its example. */
  add(what: Loss['what'], path: string): void {
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
