/** The guards of the merge: each a number with a reason, each an option. */
import { fillLimits, type GivenLimits, type TarLimits, tarLimits } from '../tar/tar-limits.js';

/** How much the layers of an image may ask for. What exceeds one of them is `ERR_LIMIT_EXCEEDED`. */
export interface MergeLimits extends TarLimits {
  /** As for one archive, for all layers of an image together, and apart for the paths of `hidden`: 512 MiB by default. */
  readonly maxMetadataBytes: number;
  /**
   * Members of one layer, and names in the merged tree, made-up directories included; where layers are kept apart, names
   * in all of them together. Default 2,000,000.
   */
  readonly maxEntries: number;
  /** Components of a path. Default 255. */
  readonly maxDepth: number;
  /** Bytes of one component of a path. Default 255: Linux's NAME_MAX. */
  readonly maxNameBytes: number;
  /** Components of symbolic links that are followed while paths are resolved, in all. Default 50,000,000. */
  readonly maxLinkSteps: number;
  /**
   * Bytes of all files in the merged tree, holes included; where layers are kept apart, in all of them together. Default
   * 16 TiB: sparse files cost nothing to claim.
   */
  readonly maxDataBytes: number;
}

const OWN: Pick<MergeLimits, 'maxDepth' | 'maxNameBytes' | 'maxLinkSteps' | 'maxDataBytes'> = {
  maxDepth: 255,
  maxNameBytes: 255,
  maxLinkSteps: 50_000_000,
  maxDataBytes: 17_592_186_044_416,
};

/** Fills up limits with the defaults. @throws RootfsError as `fillLimits` */
export function mergeLimits(options: GivenLimits<keyof MergeLimits>): MergeLimits {
  return { ...tarLimits(options), ...fillLimits(OWN, options) };
}
