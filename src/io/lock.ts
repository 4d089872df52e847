/**
 * Locks between processes, as files: they save work, correctness never depends on them.
 *
 * A lock is a file that names its holder. A holder that died on this machine loses it at once; one on another machine
 * loses it when it has not shown a sign of life for a minute.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { readFile, rename, stat, unlink, utimes } from 'node:fs/promises';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { delay } from './abort.js';
import { isMarkAlive, processMark } from './process-mark.js';

/** Gives a lock back; a second call does nothing, and a lock that was taken over meanwhile stays its new holder's. */
export type ReleaseLock = () => Promise<void>;

/** How long a holder of which nothing else is known may be silent, in milliseconds. */
const SILENCE_MS = 60_000;
const SIGN_OF_LIFE_MS = 15_000;
const POLL_MS = 40;
const NO_HARD_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL']);

/**
 * Takes the lock if nobody living holds it.
 *
 * @param path Of the lock file; its folder must exist.
 * @returns what gives it back, or `undefined` when somebody else holds it.
 * @throws RootfsError `ERR_FILESYSTEM`, `ERR_PERMISSION`, `ERR_NO_SPACE`
 */
export async function tryLock(path: string): Promise<ReleaseLock | undefined> {
  const token = `${processMark()} ${randomBytes(8).toString('hex')}\n`;
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (create(path, token)) return holder(path, token);
      if (!(await removeIfDead(path))) return undefined;
    }
    return undefined;
  } catch (error) {
    throw wrapSystemError(error, path);
  }
}

/**
 * Runs `work` while holding the lock; waits for it as long as it takes. The lock is given back whatever happens.
 *
 * @throws what `work` throws, the signal's reason, or RootfsError as `tryLock`
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<T> {
  let release = await tryLock(path);
  while (release === undefined) {
    await delay(POLL_MS, options.signal);
    release = await tryLock(path);
  }
  try {
    return await work();
  } finally {
    await release();
  }
}

/** Removes a lock file whose holder is certainly gone. @returns whether the name is (probably) free now. */
export async function removeIfDead(path: string): Promise<boolean> {
  const found = await readHolder(path);
  if (found === undefined) return true;
  if (await isHeld(path, found)) return false;
  // Somebody else may do the same right now, and hold a new lock under this name: look at what was really moved.
  const aside = `${path}.${randomBytes(6).toString('hex')}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return true;
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved === found) {
    await unlink(aside);
    return true;
  }
  await rename(aside, path);
  return false;
}

/**
 * Makes the lock with its holder's name in it at once: a process that is killed between making a file and writing
 * into it would leave a lock that names nobody, and everybody would wait for it. Synchronous, because each step is
 * shorter than the way through another thread.
 */
function create(path: string, token: string): boolean {
  const aside = `${path}.${randomBytes(6).toString('hex')}.stale`;
  writeFileSync(aside, token, { flag: 'wx', mode: 0o644 });
  try {
    linkSync(aside, path);
    return true;
  } catch (error) {
    const errno = systemErrorCode(error) ?? '';
    if (errno === 'EEXIST') return false;
    if (!NO_HARD_LINKS.has(errno)) throw error;
    return createPlain(path, token);
  } finally {
    unlinkSync(aside);
  }
}

/** For file systems without hard links. */
function createPlain(path: string, token: string): boolean {
  try {
    writeFileSync(path, token, { flag: 'wx', mode: 0o644 });
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    rmSync(path, { force: true });
    throw error;
  }
}

function holder(path: string, token: string): ReleaseLock {
  const life = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, SIGN_OF_LIFE_MS);
  life.unref();
  let held = true;
  return async () => {
    if (!held) return;
    held = false;
    clearInterval(life);
    if ((await readHolder(path).catch(() => undefined)) !== token) return;
    await unlink(path).catch(() => {});
  };
}

async function isHeld(path: string, found: string): Promise<boolean> {
  const alive = isMarkAlive(found.split(' ')[0] ?? '');
  if (alive !== undefined) return alive;
  try {
    return Date.now() - (await stat(path)).mtimeMs < SILENCE_MS;
  } catch {
    return true;
  }
}

async function readHolder(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
