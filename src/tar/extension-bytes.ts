/** What an archive's extension headers take: those before one member, and all together. */
import { BLOCK } from './block.js';
import { tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

/** Counts the bytes of extension headers before they are read. */
export class ExtensionBytes {
  /** Of those before the member that is being read; several may stand there, and all of them are read. */
  #pending = 0;
  /** Of all, their blocks too: empty ones cost time as well. */
  #all = 0;

  /**
   * Counts a header of `size` bytes; a global one belongs to no member.
   *
   * @throws RootfsError `ERR_LIMIT_EXCEEDED`
   */
  add(size: number, global: boolean, offset: number, { maxPaxBytes, maxExtensionBytes }: TarLimits): void {
    const pending = size + (global ? 0 : this.#pending);
    if (pending > maxPaxBytes) throw tarLimitExceeded(offset, 'extension header', 'maxPaxBytes', maxPaxBytes, pending);
    if (!global) this.#pending = pending;
    this.#all += BLOCK + size;
    if (this.#all > maxExtensionBytes) {
      const what = 'bytes of extension headers';
      throw tarLimitExceeded(offset, what, 'maxExtensionBytes', maxExtensionBytes, this.#all);
    }
  }

  /** The member they stood before is there. */
  endMember(): void {
    this.#pending = 0;
  }
}
