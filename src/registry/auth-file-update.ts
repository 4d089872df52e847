/** Changing an auth file: one writer at a time, all of the change or none of it, readable by its owner only. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, readlink, realpath, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { syncFolder } from '../content/folder-sync.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { withLock } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';
import { isMarkAlive, processMark } from '../io/process-mark.js';
import { parseAuthDocument } from './auth-file.js';
import { readOptionalFile } from './settings-file.js';

const ADVICE = 'see to that path, or name another auth file (--authfile)';

const TEMPORARY = /^\.rootfs-auth-([0-9a-f]{8}-\d+-\d+)-[0-9a-f]{12}$/;

/**
 * Reads the JSON object of an auth file, has it changed in place, and writes it back if `change` says so.
 *
 * A linked file is followed and stays a link. What `change` leaves alone stays as it is. The new file has mode 0600 and,
 * where root changes somebody's file, that somebody's owner.
 *
 * @throws RootfsError `ERR_CREDENTIALS` (what is there is no auth file), `ERR_PERMISSION`, `ERR_FILESYSTEM`,
 * `ERR_NO_SPACE`; what `change` throws; the signal's reason. After a failure the file is as it was.
 */
export async function updateAuthFile(
  path: string,
  change: (document: Record<string, unknown>) => Promise<boolean> | boolean,
  signal?: AbortSignal,
): Promise<void> {
  const target = await followLinks(resolve(path));
  const folder = dirname(target);
  let made: string | undefined;
  try {
    const note = (one: string): void => {
      made ??= one;
    };
    makeFolders(folder, { mode: 0o700, made: note });
    const update = async (): Promise<void> => {
      const document = parseAuthDocument((await readOptionalFile(target)) ?? '', path);
      if (await change(document)) await replaceFile(target, `${JSON.stringify(document, null, '\t')}\n`);
    };
    await withLock(`${target}.lock`, update, { signal });
  } catch (error) {
    for (let empty = folder; made !== undefined && empty.length >= made.length; empty = dirname(empty)) {
      await rmdir(empty).catch(() => {});
    }
    throwIfAborted(signal);
    throw wrapSystemError(error, path, ADVICE);
  }
}

async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path, ADVICE);
  }
  const link = await readlink(path).catch(() => undefined);
  // A link to a file that is not there yet, over others maybe: the file is made, the links stay.
  return link === undefined ? path : followLinks(resolve(dirname(path), link));
}

async function replaceFile(target: string, text: string): Promise<void> {
  await refuseDevice(target);
  await sweep(dirname(target));
  const temporary = join(dirname(target), `.rootfs-auth-${processMark()}-${randomBytes(6).toString('hex')}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    try {
      await keepOwner(file, target);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(target));
}

/** `/dev/null` is named to have no credentials read; a file in its place would break the machine. */
async function refuseDevice(target: string): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (found === undefined || found.isFile()) return;
  throw new RootfsError('ERR_CREDENTIALS', `${target}: expected a regular file, found something else; ${ADVICE}`, {
    detail: { path: target },
  });
}

/** Removes what writers that were killed left: credentials that nobody would look for. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const mark = TEMPORARY.exec(name)?.[1];
    if (mark !== undefined && isMarkAlive(mark) === false) await unlink(join(folder, name)).catch(() => {});
  }
}

async function keepOwner(file: FileHandle, target: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  try {
    const { uid, gid } = await stat(target);
    await file.chown(uid, gid);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}
