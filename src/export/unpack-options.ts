/** What an unpack can be told, with its defaults, and what it says in the end. */

import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import type { GivenLimits } from '../tar/tar-limits.js';
import { checkIdMaps, type IdMap } from './id-map.js';
import type { PathPatterns } from './path-filter.js';

/** Guards against trees that are made to hurt. Each is inclusive. */
export interface UnpackLimits {
  /** Names below the root. */
  readonly maxEntries: number;
  /** Directories above an entry. */
  readonly maxDepth: number;
  /** Bytes of a path from the root. */
  readonly maxPathBytes: number;
  /** Sum of the sizes of all files, in bytes; holes of sparse files count. */
  readonly maxDataBytes: number;
}

/** 2 million entries, 255 directories deep, paths of 4,096 bytes, 1 TiB. */
export const UNPACK_LIMITS: UnpackLimits = Object.freeze({
  maxEntries: 2_000_000,
  maxDepth: 255,
  maxPathBytes: 4096,
  maxDataBytes: 2 ** 40,
});

/** Options of `unpack`. */
export interface UnpackOptions extends CallOptions, PathPatterns {
  /** Owners inside the image, those that ACLs name too, to owners on this machine. Default: every id is its own. */
  readonly uidMap?: readonly IdMap[] | undefined;
  readonly gidMap?: readonly IdMap[] | undefined;
  /** Give files their owners. Default true; false leaves all to who unpacks, and drops setuid and setgid of others. */
  readonly sameOwner?: boolean | undefined;
  /** As root: go on where something of the image cannot be kept. Default false. */
  readonly allowLoss?: boolean | undefined;
  /** Where the side file goes without root. Default: beside the root, `<dst>.ownership`. */
  readonly ownershipFile?: string | undefined;
  readonly limits?: GivenLimits<keyof UnpackLimits> | undefined;
  /** Worker threads. Default: as many as there are cores; 0 works in this thread. */
  readonly workers?: number | undefined;
}

/** What of an image a run could not keep. */
export interface Loss {
  readonly what: 'owners' | 'modes' | 'devices' | 'fifos' | 'xattrs' | 'times';
  /** How many entries it concerns, and the path of one of them. */
  readonly entries: number;
  readonly example: string;
}

/** What an unpack did. */
export interface UnpackResult {
  /** Absolute path of the root file system. */
  readonly path: string;
  /** Names written below the root. */
  readonly entries: number;
  /** Bytes of files written, holes included. */
  readonly dataBytes: number;
  /**
   * The side file, where one was written: JSON lines, UTF-8. The first has `format`, `version`, `hostUid` and `hostGid`,
   * who unpacked and stands for uid 0 and gid 0. Each other has `path` (`pathBase64` where it is not UTF-8) and what the
   * disk could not keep of it: `uid`, `gid`, `mode`, `xattrs` (name to base64), `absent` (what it would be) with `major`
   * and `minor` for devices. A path without a line is as it stands on disk.
   */
  readonly ownershipFile?: string | undefined;
  /** Paths that are recorded and not on disk: devices that could not be made. Lossy UTF-8. */
  readonly absent: readonly string[];
  /**
   * What was lost: as root under `allowLoss`, without root and without native calls the times a side file does not hold.
   */
  readonly losses: readonly Loss[];
  /** Extended attributes that are never written, by name or prefix, and how many entries had one. */
  readonly skippedXattrs: Readonly<Record<string, number>>;
}

/**
 * Checks the options of an unpack.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function checkUnpackOptions(options: UnpackOptions): UnpackLimits {
  if (options.ownershipFile !== undefined) absolutePath(options.ownershipFile, 'ownershipFile');
  const limits: UnpackLimits = { ...UNPACK_LIMITS, ...definedOnly(options.limits ?? {}) };
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `limits.${name}: expected a whole number of at least 0, found ${value}`,
    );
  }
  if (limits.maxDepth > 4096) {
    throw new RootfsError('ERR_OPTION_INVALID', `limits.maxDepth: expected at most 4096, found ${limits.maxDepth}`);
  }
  const { workers } = options;
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 0 && workers <= 1024)) {
    throw new RootfsError('ERR_OPTION_INVALID', `workers: expected a whole number from 0 to 1024, found ${workers}`);
  }
  checkIdMaps('uidMap', options.uidMap ?? []);
  checkIdMaps('gidMap', options.gidMap ?? []);
  return limits;
}

function definedOnly(limits: NonNullable<UnpackOptions['limits']>): Partial<UnpackLimits> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
