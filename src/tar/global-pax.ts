/** The global PAX records of an archive: what they say of every member that follows. */
import { applyPax, type PaxMeaning } from './apply-pax.js';
import { heldBytes } from './held-bytes.js';
import type { TarDraft } from './read-header.js';
import { tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

/** What the global headers say so far. */
export class GlobalPax {
  #fields: ReadonlyMap<string, Buffer> = new Map();
  #xattrs: Map<string, Buffer> | undefined;
  /** Whether members have the attributes as they are now: these must stay as they are. */
  #given = false;

  /** The attributes, one map for all members that have these and no others. */
  get xattrs(): ReadonlyMap<string, Buffer> | undefined {
    return this.#xattrs;
  }

  /**
   * Adds the records of a later header; what both say is as the later one has it. The attributes become another map
   * only where they change and members have the one before: an archive may be nothing but global headers, each about
   * one of a thousand attributes.
   *
   * @returns what the other map costs to hold beside the one before, in bytes
   * @throws RootfsError `ERR_LIMIT_EXCEEDED` when there are too many extended attributes
   */
  add({ fields, xattrs }: PaxMeaning, offset: number, limits: TarLimits): number {
    this.#fields = new Map([...this.#fields, ...fields]);
    const earlier = this.#xattrs;
    const news = [...(xattrs ?? [])].filter(([name, value]) => earlier?.get(name)?.equals(value) !== true);
    if (news.length === 0) return 0;
    const all = earlier === undefined || this.#given ? new Map(earlier) : earlier;
    for (const [name, value] of news) all.set(name, value);
    if (all.size > limits.maxXattrs) {
      throw tarLimitExceeded(offset, 'extended attributes', 'maxXattrs', limits.maxXattrs, all.size);
    }
    const copied = earlier !== undefined && all !== earlier;
    this.#xattrs = all;
    this.#given = false;
    return copied ? heldBytes({ name: '', linkname: '', xattrs: all }) : 0;
  }

  /** Sets the fields of a member. @param own The member's own records, which win, empty ones too. */
  apply(draft: TarDraft, offset: number, own: PaxMeaning | undefined): void {
    if (this.#fields.size === 0 && this.#xattrs === undefined) return;
    applyPax(draft, { fields: this.#fields, xattrs: this.#xattrs }, offset, own);
    this.#given = true;
  }
}
