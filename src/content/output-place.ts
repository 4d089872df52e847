/** Where a file that is made goes: beside its place until it is whole, then into it. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readlink, realpath, rename, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { isMarkAlive, processMark } from '../io/process-mark.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import { syncFolder } from './folder-sync.js';

/** What an output path means. */
export type OutputPlace =
  /** A regular file, there or not yet; links are followed. */
  | { readonly kind: 'file'; readonly path: string }
  /** A pipe or a device: bytes are written to it, it is never replaced. */
  | { readonly kind: 'stream'; readonly path: string };

/**
 * Looks what stands at a path where a file is to be made.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (its folder is missing), `ERR_FILESYSTEM` (it is a folder, or named as one by a
 *   slash at its end), `ERR_PERMISSION`
 */
export async function outputPlace(path: string): Promise<OutputPlace> {
  const absolute = absolutePath(path, 'path');
  const folder = (): RootfsError =>
    new RootfsError('ERR_FILESYSTEM', `${path}: a folder; name a file in it`, { detail: { path: absolute } });
  try {
    const found = await stat(absolute);
    if (found.isDirectory()) throw folder();
    return found.isFile() ? { kind: 'file', path: await realpath(absolute) } : { kind: 'stream', path: absolute };
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path);
  }
  if (path.endsWith('/')) throw folder();
  try {
    const above = await realpath(dirname(absolute));
    // The file that a link names is made; the link stays.
    const link = await readlink(absolute).catch(() => undefined);
    return link === undefined
      ? { kind: 'file', path: join(above, basename(absolute)) }
      : await outputPlace(resolve(above, link));
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path);
    throw new RootfsError('ERR_NOT_FOUND', `${path}: its folder does not exist; make it first`, {
      cause: error,
      detail: { path: absolute },
    });
  }
}

/** Stands before the names of what is not whole yet; the process's mark and a random part follow. */
const PREFIX = '.rootfs-kit-';

/**
 * Runs `work` with the path of a temporary beside `path`, and gives it its name when `work` has ended well. Whatever
 * happens, nothing temporary stays; what dead processes left beside it is removed first.
 *
 * @param kind What `work` makes: a file, at a path that does not exist, or a folder, which is made.
 * @param sync The new name is on disk before this returns.
 * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; what `work` throws
 */
export async function writeBeside<T>(
  path: string,
  kind: 'file' | 'folder',
  sync: boolean,
  work: (temporary: string) => Promise<T>,
): Promise<T> {
  const folder = dirname(path);
  await sweep(folder);
  const temporary = join(folder, `${PREFIX}${processMark()}-${randomBytes(6).toString('hex')}`);
  const kept = keepTidy(temporary);
  try {
    if (kind === 'folder') await inSystem(temporary, () => mkdir(temporary));
    const result = await work(temporary);
    await inSystem(path, () => rename(temporary, path));
    if (sync) await inSystem(folder, () => syncFolder(folder));
    return result;
  } catch (error) {
    removeWhatCanBe(temporary);
    throw inPlaceOf(temporary, path, error);
  } finally {
    kept();
  }
}

/** A folder for work that ends with this process at the latest. */
export interface WorkingFolder {
  readonly path: string;
  /** Removes it with all it holds. Never fails. */
  remove(): Promise<void>;
}

/**
 * Makes a new folder, for this user alone. It is removed also where the process ends in the middle, by `process.exit`.
 * A process that was killed cannot do that: what those left beside it is removed first.
 *
 * @param parent Where it is made; the system's temporary folder (`TMPDIR`) when absent.
 * @param advice What to do where it cannot be made; one clause, without a full stop. Default: to set `TMPDIR`, where that
 *   says where it is.
 * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`
 */
export async function makeWorkingFolder(
  parent?: string,
  advice = parent === undefined ? 'set TMPDIR to a folder that can be written' : undefined,
): Promise<WorkingFolder> {
  const at = parent ?? tmpdir();
  await sweep(at);
  const path = await inSystem(at, () => mkdtemp(join(at, `${PREFIX}${processMark()}-`)), advice);
  const kept = keepTidy(path);
  const remove = async (): Promise<void> => {
    removeWhatCanBe(path);
    kept();
  };
  return { path, remove };
}

/**
 * Runs `work` with the path of a new folder that is gone afterwards, whatever happens. Where the process is killed, a
 * later one removes it.
 *
 * @param parent Where it is made; the system's temporary folder (`TMPDIR`) when absent.
 * @param advice What to do where it cannot be made; one clause, without a full stop.
 * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; what `work` throws
 */
export async function withWorkingFolder<T>(
  parent: string | undefined,
  work: (folder: string) => Promise<T>,
  advice?: string,
): Promise<T> {
  const { path, remove } = await makeWorkingFolder(parent, advice);
  try {
    return await work(path);
  } catch (error) {
    const told = inPlaceOf(path, parent ?? tmpdir(), error);
    // What is full may be where the result goes: then TMPDIR is not to blame.
    throw parent === undefined && told !== error ? roomElsewhere(told) : told;
  } finally {
    await remove();
  }
}

/** An error that names the place that people know, not the temporary one, which is gone. */
export function inPlaceOf(temporary: string, known: string, error: unknown): unknown {
  if (!(error instanceof RootfsError)) return error;
  const names = (value: unknown): value is string => typeof value === 'string' && value.includes(temporary);
  if (![error.message, ...Object.values(error.detail)].some(names)) return error;
  // The new name as a function's answer: of a plain one, what looks like $& would be read as a pattern.
  const told = (value: unknown): unknown => (names(value) ? value.replaceAll(temporary, () => known) : value);
  const detail = Object.fromEntries(Object.entries(error.detail).map(([key, value]) => [key, told(value)]));
  return new RootfsError(error.code, String(told(error.message)), { cause: error.cause, detail });
}

/** The system's temporary folder is nobody's choice: where it is full, people have to know which variable moves it. */
function roomElsewhere(error: unknown): unknown {
  if (!(error instanceof RootfsError) || error.code !== 'ERR_NO_SPACE') return error;
  const message = error.message.replace(/choose another folder$/, 'set TMPDIR to a folder that has more');
  return new RootfsError(error.code, message, { cause: error.cause, detail: error.detail });
}

/** What this process has not finished: removed also where it ends in the middle, by `process.exit`. */
const unfinished = new Set<string>();

function removeUnfinished(): void {
  for (const path of unfinished) removeWhatCanBe(path);
}

/** @returns a function that says that nothing temporary is at `path` any more */
function keepTidy(path: string): () => void {
  if (unfinished.size === 0) process.on('exit', removeUnfinished);
  unfinished.add(path);
  return () => {
    unfinished.delete(path);
    if (unfinished.size === 0) process.removeListener('exit', removeUnfinished);
  };
}

/** Whether a name is that of something which is not whole yet. */
export function isUnfinished(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Removes what dead processes left. What cannot be removed is somebody else's. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!isUnfinished(name)) continue;
    const mark = name.slice(PREFIX.length).split('-').slice(0, 3).join('-');
    if (isMarkAlive(mark) === false) removeWhatCanBe(join(folder, name));
  }
}

async function inSystem<T>(path: string, work: () => Promise<T>, advice?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw wrapSystemError(error, path, advice);
  }
}
