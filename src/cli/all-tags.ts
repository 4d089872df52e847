/** `--all-tags`: a name without a tag stands for all of them. */
import { RootfsError, splitImage, splitTransport } from '../index.js';

/** Refuses a name that has a tag or a digest. @throws RootfsError `ERR_OPTION_INVALID`, `ERR_REFERENCE_INVALID` */
export function refuseTagged(text: string): void {
  const { transport, rest } = splitTransport(text);
  if (transport !== 'docker') {
    if (!/^[^:]*:[^/]*$/.test(rest)) return;
    throw new RootfsError('ERR_OPTION_INVALID', `${text}: with --all-tags a place has no tag; leave it out`);
  }
  const { tag, digest } = splitImage(rest);
  if (tag === undefined && digest === undefined) return;
  throw new RootfsError('ERR_OPTION_INVALID', `${text}: with --all-tags a name has no tag and no digest; leave it out`);
}
