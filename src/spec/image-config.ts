/** Image configs. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md */
import type { Digest } from './digest.js';

/** An image config, OCI's or Docker's. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly Digest[] };
}
