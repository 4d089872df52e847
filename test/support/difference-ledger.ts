/** The differences from an oracle that are allowed: one data file says rule, reason and count; all else fails. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

interface AllowedDifference {
  readonly id: string;
  readonly rule: number;
  readonly why: string;
  /** How often it occurs, by the number of images: in CI, in the oracle's usual run and in its long one. */
  readonly counts: Readonly<Record<string, number>>;
}

const file = new URL('../../../test/rootfs/allowed-differences.json', import.meta.url);

/** Counts the differences from one oracle. */
export class DifferenceLedger {
  readonly #allowed: readonly AllowedDifference[];
  readonly #found = new Map<string, number>();

  constructor(oracle: string) {
    const all = JSON.parse(readFileSync(file, 'utf8')) as Record<string, AllowedDifference[]>;
    assert.ok(all[oracle] !== undefined, `${oracle} has no entry in allowed-differences.json`);
    this.#allowed = all[oracle];
  }

  /** Notes a difference; `id` is `undefined` when it is none of those that are known. */
  note(id: string | undefined, what: string): void {
    assert.ok(id !== undefined && this.#allowed.some((one) => one.id === id), `unlisted difference (${id}): ${what}`);
    this.#found.set(id, (this.#found.get(id) ?? 0) + 1);
  }

  /** What was found, for people. */
  summary(): string {
    return this.#allowed.map(({ id, rule }) => `rule ${rule} ${id}: ${this.#found.get(id) ?? 0}`).join('; ');
  }

  /**
   * In a run over as many images as the file has counts for, every difference occurs exactly as often as it says; under
   * ROOTFS_REQUIRE_TOOLS=1 it has to have them.
   */
  check(images: number): void {
    const listed = this.#allowed.filter(({ counts }) => counts[images] !== undefined);
    if (listed.length === 0) {
      // A run that is to prove something looks at the counts.
      assert.notEqual(process.env['ROOTFS_REQUIRE_TOOLS'], '1', `there are no counts for ${images} images`);
      return;
    }
    const found = Object.fromEntries(this.#allowed.map(({ id }) => [id, this.#found.get(id) ?? 0]));
    assert.deepEqual(found, Object.fromEntries(this.#allowed.map(({ id, counts }) => [id, counts[images]])));
  }
}
