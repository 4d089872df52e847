/** How long the names of a member may be. */
import type { TarDraft } from './read-header.js';
import { tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

/** Checks the name of a member and what it links to. @throws RootfsError `ERR_LIMIT_EXCEEDED` */
export function checkNames({ name, linkname, offset }: TarDraft, { maxPathBytes }: TarLimits): void {
  if (name.length > maxPathBytes) {
    throw tarLimitExceeded(offset, 'bytes of a name', 'maxPathBytes', maxPathBytes, name.length);
  }
  if (linkname.length > maxPathBytes) {
    throw tarLimitExceeded(offset, 'bytes of a link target', 'maxPathBytes', maxPathBytes, linkname.length);
  }
}
