/** What an overlay is written with, and what of that its `overlay.json` keeps, so that one is not taken for another. */
import { RootfsError } from '../errors.js';
import type { Digest } from '../spec/digest.js';
import { checkIdMaps, type IdMap } from './id-map.js';
import type { OverlayOrigin } from './overlay-facts.js';
import { readPowers } from './powers.js';
import type { UnpackOptions } from './unpack-options.js';

/** Options of `writeOverlay`. */
export interface OverlayOptions extends Omit<UnpackOptions, 'include' | 'exclude' | 'ownershipFile'> {
  /**
   * Marks are `user.overlay.*` attributes, for mounts with the option `userxattr`: what user namespaces need. Default:
   * whether this process has no root.
   */
  readonly userXattr?: boolean | undefined;
  /**
   * Removed names are character devices 0:0 (every kernel), or empty files with an attribute (Linux 6.7 and later, for
   * file systems that take no device nodes). Default `device`.
   */
  readonly whiteouts?: 'device' | 'xattr' | undefined;
  /** Digest of the image's manifest: kept in `overlay.json`, by which `findOverlay` knows the image again. */
  readonly image?: Digest | undefined;
}

/** What an overlay written now with these options comes from. @throws RootfsError `ERR_OPTION_INVALID` */
export function overlayOrigin(options: OverlayOptions): OverlayOrigin {
  const { root, writer } = readPowers();
  const { image, whiteouts = 'device', userXattr = !root } = options;
  if (whiteouts !== 'device' && whiteouts !== 'xattr') {
    throw new RootfsError('ERR_OPTION_INVALID', `whiteouts: expected device or xattr, found ${String(whiteouts)}`);
  }
  checkIdMaps('uidMap', options.uidMap ?? []);
  checkIdMaps('gidMap', options.gidMap ?? []);
  return {
    image,
    writer,
    uidMap: formatMaps(options.uidMap),
    gidMap: formatMaps(options.gidMap),
    sameOwner: options.sameOwner !== false,
    allowLoss: options.allowLoss === true,
    userXattr,
    whiteouts,
  };
}

/** The order in which maps are given changes nothing. */
function formatMaps(maps: readonly IdMap[] | undefined): string {
  const sorted = [...(maps ?? [])].sort((a, b) => a.containerId - b.containerId);
  return sorted.map(({ containerId, hostId, size }) => `${containerId}:${hostId}:${size}`).join(',');
}
