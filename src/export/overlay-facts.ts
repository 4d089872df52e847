/** What an overlay directory says of itself in `overlay.json`, and how mount options are put together. */
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { readOwn } from '../io/own-file.js';
import type { Digest } from '../spec/digest.js';

/** The file in an overlay directory that says how to mount it. */
export const OVERLAY_FILE = 'overlay.json';

/** Mount options end here, in bytes: one page, less the NUL. */
export const MAX_MOUNT_OPTIONS = 4095;

/** What decides what an overlay holds: which image, and all that changes how it is written. */
export interface OverlayOrigin {
  /** Digest of the image's manifest; absent where it was not said. */
  readonly image?: Digest | undefined;
  /** Who wrote it: `root`, `uid-1000`. What cannot be kept without root is kept otherwise, or not at all. */
  readonly writer: string;
  /** As `container:host:size`, with commas between; empty: every id is its own. */
  readonly uidMap: string;
  readonly gidMap: string;
  readonly sameOwner: boolean;
  readonly allowLoss: boolean;
  readonly userXattr: boolean;
  readonly whiteouts: 'device' | 'xattr';
}

/** How an overlay directory is mounted; all paths are relative to it. */
export interface OverlayFacts {
  readonly version: 1;
  /** Short links to the layers, base first. */
  readonly links: readonly string[];
  /** The topmost first, as overlayfs wants it. */
  readonly lowerdir: string;
  /** Options of a read-only mount made in the directory. */
  readonly options: string;
  /** Marks are `user.overlay.*` attributes: mounts need the option `userxattr`. */
  readonly userXattr: boolean;
  /** Absent in what older versions wrote: it is mounted as ever, and given to nobody who asks for an image. */
  readonly origin?: OverlayOrigin | undefined;
}

/** Id maps as `OverlayOrigin` has them. */
const MAPS = /^(?:\d{1,10}:\d{1,10}:\d{1,10}(?:,|$))*$/;

/**
 * Reads `overlay.json` of a directory; `undefined` where there is none.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID` where it is not what `writeOverlay` writes
 */
export function readOverlayFacts(path: string): OverlayFacts | undefined {
  const file = join(path, OVERLAY_FILE);
  let text: string;
  try {
    text = readOwn(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
  try {
    const { version, links, lowerdir, options, userXattr, origin } = JSON.parse(text) as OverlayFacts;
    const sound = Array.isArray(links) && links.length > 0 && links.every((link) => /^l\/[0-9ef]{1,4}$/.test(link));
    const isMaps = (maps: unknown): boolean => typeof maps === 'string' && MAPS.test(maps);
    const told = origin == null || (isMaps(origin.uidMap) && isMaps(origin.gidMap));
    if (version === 1 && sound && told && lowerdir === links.toReversed().join(':'))
      return { version, links, lowerdir, options, userXattr: userXattr === true, origin: origin ?? undefined };
  } catch (error) {
    throw new RootfsError('ERR_LAYOUT_INVALID', `${file}: expected JSON; write the overlay again`, { cause: error });
  }
  throw new RootfsError('ERR_LAYOUT_INVALID', `${file}: expected version 1 with its links; write the overlay again`);
}

/** A path as overlayfs takes it in an option: separators are escaped. */
export function escapeOption(path: string): string {
  return path.replace(/[\\,:]/g, (char) => `\\${char}`);
}
