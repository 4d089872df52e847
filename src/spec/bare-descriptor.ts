/** Descriptors without what one referrer says. Apart from `descriptor.ts`, which loads what documents are checked with. */
import type { Descriptor } from './descriptor.js';

/** Type, digest and size of content, and nothing that whoever names it says besides: it may say that at length. */
export function bareDescriptor({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
