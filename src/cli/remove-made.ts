/** Folders that a command makes for what it works with, and that go again where it fails before anything is in them. */
import { rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RootfsError, systemErrorCode, withoutNewLeases } from '../index.js';

/** What a store makes of itself, the innermost first. */
const STORE_FOLDERS = ['leases', 'ingest', 'meta/sha256', 'meta/sha512', 'meta', 'sha256', 'sha512'];
/** How long somebody is waited for who removes something in the store at the same time, in milliseconds. */
const PATIENCE_MS = 500;
/** How often a folder is made that others take away again at once. */
const TRIES = 20;

/** A folder that `use` has begun to work in. */
export interface InMade<T> {
  readonly value: T;
  /** The outermost folder that was made; `undefined` where all were there. */
  readonly made: string | undefined;
}

/**
 * Makes a folder and begins to use it. Another run that made the same one may fail, and take it away while it is empty:
 * then it is made again. Where `use` fails, it goes.
 *
 * @param make See `makeFolder`.
 * @param remove `removeMade` for a store, `removeEmpty` for another folder.
 * @throws what `make` and `use` throw
 */
export async function inMade<T>(
  folder: string,
  make: () => Promise<string | undefined>,
  use: () => Promise<T>,
  remove: typeof removeMade = removeMade,
): Promise<InMade<T>> {
  for (let tries = 1; ; tries += 1) {
    let made: string | undefined;
    try {
      made = await make();
      return { value: await use(), made };
    } catch (error) {
      if (wasGone(folder, error) && tries < TRIES) continue;
      if (made !== undefined) await remove(folder, made);
      throw error;
    }
  }
}

/**
 * Whether a failure says that the folder, or one above it, was not there. It may be there again: others take away what
 * they made, and make it anew, at the same time.
 */
function wasGone(folder: string, error: unknown): boolean {
  if (!(error instanceof RootfsError)) return false;
  const { path, subject, errno } = error.detail;
  if (errno === 'ENOENT') return typeof subject === 'string' && subject.includes(folder);
  return error.code === 'ERR_NOT_FOUND' && path === folder;
}

/**
 * Removes a store's folder and those above it that were made for it, as far as they are empty: what holds anything, a
 * layer or a partial, stays with everything above it.
 *
 * @param made The outermost folder that was made; see `makeFolder`.
 */
export async function removeMade(store: string, made: string): Promise<void> {
  // Another process that uses the store holds a lease in it before it puts anything else there, or waits to get one.
  const remove = async (leases: readonly unknown[]): Promise<void> => {
    if (leases.length > 0) return;
    for (const name of STORE_FOLDERS) await isGone(join(store, name));
  };
  await withoutNewLeases(store, remove, { signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => {});
  await removeEmpty(store, made);
}

/** Removes a folder and those above it up to `made`, as far as they are empty. */
export async function removeEmpty(folder: string, made: string): Promise<void> {
  for (let at = folder; at.length >= made.length; at = dirname(at)) {
    if (!(await isGone(at))) return;
  }
}

/** Removes a folder that is empty. @returns whether there is none now */
async function isGone(path: string): Promise<boolean> {
  return rmdir(path).then(
    () => true,
    (error: unknown) => systemErrorCode(error) === 'ENOENT',
  );
}
