/** A layer as an image names it: what the manifest and the config say of it together. Pure. */
import type { Descriptor } from './descriptor.js';
import type { Digest } from './digest.js';

/** The blob of a layer, and the digest that its uncompressed tar must have. */
export interface ImageLayer {
  readonly descriptor: Descriptor;
  /** With it the tar is checked, and taken from a store that has it. Without it the tar names itself. */
  readonly diffId?: Digest | undefined;
}
