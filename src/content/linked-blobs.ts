/**
 * Blobs that are symbolic links, as Bazel's rules lay them out. Whoever made the folder chose where they lead, so
 * nothing of a file at a link's end is passed on, named or described before its bytes are known to be the blob's.
 */
import type { Stats } from 'node:fs';
import { lstat, realpath } from 'node:fs/promises';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { closeAfter } from '../io/close-after.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requireVerifiable } from '../spec/digest.js';
import { hashFile, isAbsent, lookAt, openRegularFile } from './blob-file.js';

const ADVICE = 'build the folder again, or copy it with its links followed (cp -rL) and read the copy';

/** Follows links, and remembers which files were found right: each is hashed once, and again when it changed. */
export class LinkedBlobs {
  readonly #right = new Map<string, string>();

  /**
   * Where the link at `path` leads: the path of a regular file, without links, whose bytes hash to `target.digest`.
   * Messages tell neither what else lies there nor how long it is; a pipe or a device is not opened.
   *
   * @throws RootfsError `ERR_NOT_FOUND` (it leads nowhere), `ERR_LAYOUT_INVALID` (in a circle, or to no regular
   *   file), `ERR_DIGEST_MISMATCH`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the abort's reason
   */
  async follow(path: string, target: Pick<Descriptor, 'digest' | 'size'>, signal?: AbortSignal): Promise<string> {
    const { algorithm } = requireVerifiable(target.digest);
    const end = await followLink(path);
    const opened = await openRegularFile(end);
    if (opened === undefined) throw leadsNowhere(path);
    return closeAfter(opened.file, async () => {
      const seen = identityOf(opened.stat);
      if (this.#right.get(target.digest) === seen) return end;
      // The length first: a file of any length may lie there, and hashing it all would tell how long it is.
      const fits = opened.stat.size === target.size;
      const place = { offset: 0, size: target.size };
      if (!fits || (await hashFile(opened.file, algorithm, place, signal)) !== target.digest) {
        throw new RootfsError(
          'ERR_DIGEST_MISMATCH',
          `${path}: expected a link to the ${target.size} bytes of ${target.digest}, found one to other content; ${ADVICE}`,
          { detail: { path, expected: target.digest, expectedBytes: target.size } },
        );
      }
      this.#right.set(target.digest, seen);
      return end;
    });
  }
}

/**
 * The end of a symbolic link: the path of a regular file, without links.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function followLink(path: string): Promise<string> {
  try {
    const end = await realpath(path);
    if ((await lstat(end)).isFile()) return end;
  } catch (error) {
    if (isAbsent(error)) throw leadsNowhere(path, error);
    if (systemErrorCode(error) !== 'ELOOP') throw wrapSystemError(error, path);
    throw invalid(path, 'it leads in a circle', error);
  }
  throw invalid(path, 'its end is a folder, a pipe or a device');
}

/** Whether a name is a symbolic link; `false` where it does not exist or cannot be looked at. */
export function isLink(path: string): boolean {
  try {
    return lookAt(path)?.isSymbolicLink() === true;
  } catch {
    return false;
  }
}

function identityOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs, ctimeMs].join(':');
}

function leadsNowhere(path: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_NOT_FOUND',
    `${path}: expected a link to a file, found one that leads nowhere; ${ADVICE}`,
    {
      cause,
      detail: { path },
    },
  );
}

function invalid(path: string, found: string, cause?: unknown): RootfsError {
  return new RootfsError('ERR_LAYOUT_INVALID', `${path}: expected a link to a regular file, but ${found}; ${ADVICE}`, {
    cause,
    detail: { path },
  });
}

/**
 * Refuses a folder that is to be written through and is a link. To read through one is safe, for digests vouch for what
 * comes; to write would be to write elsewhere.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID`
 */
export function refuseLink(path: string): void {
  if (!isLink(path)) return;
  throw new RootfsError(
    'ERR_LAYOUT_INVALID',
    `${path}: a link to a folder, through which nothing is written; copy the layout with its links followed (cp -rL), and write to the copy`,
    { detail: { path } },
  );
}
