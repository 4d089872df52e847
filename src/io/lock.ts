/**
 * Locks between processes, by name: they save work, correctness never depends on them.
 *
 * A lock names its holder, a thread of a process. A holder that died on this machine loses it at once, also where only
 * its thread was terminated; one on another machine when it has not shown a sign of life for a minute. Where the system
 * does not tell of threads (macOS), a thread that ended in a living process is told by its silence too, of five minutes.
 */
import { randomBytes } from 'node:crypto';
import { readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { lstat, lutimes, unlink } from 'node:fs/promises';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { type ProgressListener, warn } from '../progress.js';
import { delay, throwIfAborted } from './abort.js';
import { readOwn } from './own-file.js';
import { isMarkAlive, isThreadAlive, markPid, processMark, threadMark } from './process-mark.js';

/** Gives a lock back; a second call does nothing, and a lock that was taken over meanwhile stays its new holder's. */
export type ReleaseLock = () => Promise<void>;

/** How long a holder of which nothing else is known may be silent, in milliseconds. */
const SILENCE_MS = 60_000;
const SIGN_OF_LIFE_MS = 15_000;
/**
 * How long a holder may be silent whose process lives and of whose thread nothing is known: twenty signs of life. A
 * thread that works without a pause (a merge of a large image, a debugger) shows none meanwhile, and a takeover would
 * let two change one index: minutes of waiting cost less.
 */
const LIVING_SILENCE_MS = 20 * SIGN_OF_LIFE_MS;
const POLL_MS = 40;
/** When whoever waits is told for whom: a holder that was stopped (Ctrl-Z) would be waited for in silence. */
const LONG_WAIT_MS = 10_000;
const NO_SYMLINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']);

/** The holders of locks that were given back, and could not be removed: a disk that is full may refuse that, too. */
const givenBack = new Set<string>();

/**
 * Takes the lock if nobody living holds it.
 *
 * @param path Of the lock file; its folder must exist.
 * @returns what gives it back, or `undefined` when somebody else holds it.
 * @throws RootfsError `ERR_FILESYSTEM`, `ERR_PERMISSION`, `ERR_NO_SPACE`
 */
export async function tryLock(path: string): Promise<ReleaseLock | undefined> {
  const token = holderToken();
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (create(path, token)) {
        // Of a takeover in the middle of which somebody died: in nobody's way, until the next one.
        await removeIfDead(`${path}.takeover`).catch(() => {});
        return holder(path, token);
      }
      if (!(await removeIfDead(path))) return undefined;
    }
    return undefined;
  } catch (error) {
    throw wrapSystemError(error, path);
  }
}

/** Who waits for a lock. */
export interface Waiting {
  readonly signal?: AbortSignal | undefined;
  /** Hears, once, that a wait is long, and for whom. */
  readonly onProgress?: ProgressListener | undefined;
  /** What a long wait is, in milliseconds; 10 seconds when absent. */
  readonly longWaitMs?: number | undefined;
}

/**
 * Runs `work` while holding the lock; waits for it as long as it takes. The lock is given back whatever happens.
 *
 * @throws what `work` throws, the signal's reason, or RootfsError as `tryLock`
 */
export async function withLock<T>(path: string, work: () => Promise<T>, waiting: Waiting = {}): Promise<T> {
  const note = noteOfWait(path, waiting);
  throwIfAborted(waiting.signal);
  let release = await tryLock(path);
  while (release === undefined) {
    note();
    await delay(POLL_MS, waiting.signal);
    release = await tryLock(path);
  }
  try {
    return await work();
  } finally {
    await release();
  }
}

/** What to call whenever a lock was found held: once the wait is long, it tells for whom, and no second time. */
export function noteOfWait(path: string, { onProgress, longWaitMs = LONG_WAIT_MS }: Waiting): () => void {
  let at = Date.now() + longWaitMs;
  return () => {
    if (Date.now() < at) return;
    at = Number.POSITIVE_INFINITY;
    const pid = markPid(readHolder(path)?.split(' ')[0] ?? '');
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    warn(onProgress, `${path}: ${who} holds this lock; waiting until it is done`);
  };
}

/**
 * Removes a lock file whose holder is certainly gone. Only one process at a time does so, and looks again before: else
 * the lock that another one took meanwhile would be removed.
 *
 * @returns whether the name is free, as far as that can be said
 */
export async function removeIfDead(path: string): Promise<boolean> {
  const found = readHolder(path);
  if (found === undefined) return true;
  if (await isHeld(path, found)) return false;
  const guard = `${path}.takeover`;
  const token = holderToken();
  if (!create(guard, token)) {
    // Whoever died in the middle of a takeover left it. As a lock: else the guard that another one took meanwhile would go.
    await removeIfDead(guard);
    return false;
  }
  try {
    const now = readHolder(path);
    if (now === found) await unlink(path);
    return now === found || now === undefined;
  } finally {
    await unlink(guard).catch(() => givenBack.add(token));
  }
}

/** Process, thread where the system tells it, and what tells one lock of theirs from the next. */
function holderToken(): string {
  return [processMark(), threadMark(), randomBytes(8).toString('hex')].filter((part) => part !== '').join(' ');
}

/**
 * A lock is a symbolic link to nowhere whose target is the holder's token: made in one step, so that no death leaves a
 * lock without a holder. Where there are no symbolic links it is a file. Synchronous, because the step is shorter than
 * the way through another thread.
 */
function create(path: string, token: string): boolean {
  try {
    symlinkSync(token, path);
    return true;
  } catch (error) {
    const errno = systemErrorCode(error) ?? '';
    if (errno === 'EEXIST') return false;
    if (!NO_SYMLINKS.has(errno)) throw error;
  }
  try {
    writeFileSync(path, token, { flag: 'wx' });
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function holder(path: string, token: string): ReleaseLock {
  const life = setInterval(() => {
    const now = new Date();
    lutimes(path, now, now).catch(() => {});
  }, SIGN_OF_LIFE_MS);
  life.unref();
  let held = true;
  return async () => {
    if (!held) return;
    held = false;
    clearInterval(life);
    try {
      if (readHolder(path) === token) unlinkSync(path);
    } catch {
      // With the end of this process the lock is free for all; this thread must not wait for itself until then.
      givenBack.add(token);
    }
  };
}

async function isHeld(path: string, found: string): Promise<boolean> {
  if (givenBack.has(found)) return false;
  const [mark = '', thread = ''] = found.trimEnd().split(' ');
  const isRunning = isMarkAlive(mark);
  const alive = isRunning === true ? isThreadAlive(mark, thread) : isRunning;
  if (alive !== undefined) return alive;
  try {
    const now = Date.now();
    const silence = now - (await lstat(path)).mtimeMs;
    // By a clock that was ahead, or has gone back since, a dead holder would be waited for until then.
    if (silence < -SIGN_OF_LIFE_MS) await lutimes(path, now / 1000, now / 1000);
    return silence < (isRunning === true ? LIVING_SILENCE_MS : SILENCE_MS);
  } catch {
    return true;
  }
}

function readHolder(path: string): string | undefined {
  try {
    return readlinkSync(path, 'utf8');
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT') return undefined;
    if (errno !== 'EINVAL') throw error;
  }
  try {
    return readOwn(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
