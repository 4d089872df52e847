/** What the verbs above the layers need of one: where its uncompressed tar lies. */

/**
 * An uncompressed layer tar on this machine. A `LayerHandle` is one. The file must not change while it is read; what
 * a tree says about layer `i` holds for the bytes of `layers[i]`.
 */
export interface LayerTar {
  /** Path of the uncompressed tar, a regular file. */
  readonly path: string;
  /** Its length in bytes. */
  readonly tarBytes: number;
}
