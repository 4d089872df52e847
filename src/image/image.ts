/**
 * An image: the documents above the layers, each with its raw verified bytes.
 *
 * This room knows the graph from a reference to the layers' descriptors; it must not know where the bytes come from
 * (that is content's) nor what is in a layer.
 */
import type { Descriptor } from '../spec/descriptor.js';
import type { ImageConfig } from '../spec/image-config.js';
import type { ImageIndex } from '../spec/image-index.js';
import type { ImageLayer } from '../spec/image-layer.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import type { Platform } from '../spec/platform.js';

/** A document of an image: what it says, and the verified bytes it was said in. */
export interface ImageDocument<T> {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly value: T;
}

/** One image for one platform, everything above its layers fetched and verified. */
export interface Image {
  /** The reference it was asked for by, as it was given. */
  readonly reference: string;
  /** What the reference points at: the index where there is one, else the manifest. */
  readonly target: Descriptor;
  /** The outermost index, where the reference points at one. */
  readonly index?: ImageDocument<ImageIndex> | undefined;
  readonly manifest: ImageDocument<ImageManifest>;
  readonly config: ImageDocument<ImageConfig>;
  readonly platform: Platform;
  /** The layers, base first, each with the diffID that the config promises. */
  readonly layers: readonly ImageLayer[];
}
