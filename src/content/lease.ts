/**
 * Leases: what a running process or a mount uses is not removed under it.
 *
 * A lease is a file `<root>/leases/<id>.json` that names its holder, what it uses and until when. A holder that died on
 * this machine, as a process or as a thread of one, loses its lease at once; one elsewhere, and a thread where the system
 * does not tell of them, when it has not been renewed. Takers wait while somebody removes: see `withoutNewLeases`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rmdir, stat, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { delay, throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { noteOfWait, removeIfDead, withLock } from '../io/lock.js';
import { bootMark, isMarkAlive, isThreadAlive, processMark, threadMark } from '../io/process-mark.js';
import type { ProgressListener } from '../progress.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { requireFolder } from './blob-file.js';
import type { CallOptions } from './content.js';
import { isLeaseFile, type LeaseInfo, unfinishedMark } from './lease-info.js';
import { mountLeases } from './mount-lease.js';

/** How long a lease lasts that is not renewed: ten minutes, in milliseconds. */
export const LEASE_MS = 10 * 60 * 1000;
const RENEW_MS = 3 * 60 * 1000;
const POLL_MS = 20;
const MAX_LEASE_BYTES = 4 * 1024 * 1024;

/** Options of `takeLease`. */
export interface LeaseOptions {
  /** What it is for, for people: `extract`, `mount /mnt/app`. */
  readonly purpose: string;
  readonly digests?: readonly Digest[] | undefined;
  /** Whatever comes in while the lease lasts belongs to it too: its holder does not know yet what that is. Default false. */
  readonly open?: boolean | undefined;
  /**
   * The lease outlives this process, as a mount does: it lasts until `releaseLease` or the next boot. Default false.
   */
  readonly detached?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hears of a long wait for whoever removes something there. */
  readonly onProgress?: ProgressListener | undefined;
}

/** A lease that was taken. */
export interface Lease extends AsyncDisposable {
  /** Names it for `releaseLease`. */
  readonly id: string;
  /**
   * Adds to what is used; when this is done, nothing of it is being removed. What was gone before is gone.
   *
   * @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the reason of the signal that it was taken with
   */
  add(digests: readonly Digest[]): Promise<void>;
  /** Gives it back; a second call does nothing. A detached lease stays until this is called, here or elsewhere. */
  release(): Promise<void>;
}

/**
 * Takes a lease in the store or cache `root`, which must exist, and waits until nobody removes anything there.
 *
 * In a folder that cannot be written, or on a full disk, no lease is taken: what comes back holds nothing.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function takeLease(root: string, options: LeaseOptions): Promise<Lease> {
  throwIfAborted(options.signal);
  const lease = new HeldLease(absolutePath(root, 'root'), options);
  try {
    await lease.add(options.digests ?? []);
  } catch (error) {
    await lease.release();
    throwIfAborted(options.signal);
    const wrapped = wrapSystemError(error, lease.path);
    requireFolder(absolutePath(root, 'root'));
    if (wrapped.code !== 'ERR_PERMISSION' && wrapped.code !== 'ERR_NO_SPACE') throw wrapped;
  }
  return lease;
}

/** Removes a lease by its id, whoever took it; one that is not there is success. @throws RootfsError */
export async function releaseLease(root: string, id: string): Promise<void> {
  if (!/^[0-9a-f-]+$/.test(id)) return;
  const path = join(leaseFolder(absolutePath(root, 'root')), `${id}.json`);
  await unlink(path).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, path);
  });
}

/** The leases in force, mounts among them. Those of dead holders and those that ran out are removed, where that is allowed. */
export async function listLeases(root: string): Promise<readonly LeaseInfo[]> {
  const folder = leaseFolder(absolutePath(root, 'root'));
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw wrapSystemError(error, folder);
  });
  const found: LeaseInfo[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    const read = await readLease(path, name);
    if (read === undefined) continue;
    if (isInForce(read)) found.push(read.info);
    else if (read.mark !== '' || isLeaseFile(name)) await unlink(path).catch(() => {});
  }
  return [...found, ...(await mountLeases(absolutePath(root, 'root')))];
}

/**
 * Runs `remove` while no lease can be taken: one process at a time, and whoever wants a lease waits for its end. It
 * gets the leases in force.
 *
 * @throws what `remove` throws, RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`, the signal's reason
 */
export function withoutNewLeases<T>(
  root: string,
  remove: (leases: readonly LeaseInfo[]) => Promise<T>,
  options: CallOptions = {},
): Promise<T> {
  return withLock(pruneLock(absolutePath(root, 'root')), async () => remove(await listLeases(root)), options);
}

class HeldLease implements Lease {
  readonly id: string;
  readonly path: string;
  readonly #root: string;
  readonly #options: LeaseOptions;
  readonly #digests = new Set<Digest>();
  readonly #createdAt = Date.now();
  readonly #renewing: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #released = false;

  constructor(root: string, options: LeaseOptions) {
    this.#root = root;
    this.#options = options;
    this.id = `${processMark()}-${randomBytes(6).toString('hex')}`;
    this.path = join(leaseFolder(root), `${this.id}.json`);
    if (options.detached !== true) {
      this.#renewing = setInterval(() => void this.#write().catch(() => {}), RENEW_MS);
      this.#renewing.unref();
    }
  }

  async add(digests: readonly Digest[]): Promise<void> {
    if (this.#released) return;
    for (const digest of digests) this.#digests.add(digest);
    try {
      await this.#write();
      await this.#afterRemoving();
    } catch (error) {
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, this.path);
    }
  }

  /** Whoever removes things right now may have looked at the leases before this one was there. */
  async #afterRemoving(): Promise<void> {
    const lock = pruneLock(this.#root);
    const note = noteOfWait(lock, this.#options);
    while (!(await removeIfDead(lock))) {
      note();
      await delay(POLL_MS, this.#options.signal);
    }
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    clearInterval(this.#renewing);
    await this.#writing.catch(() => {});
    await unlink(this.path).catch(() => {});
    const folder = leaseFolder(this.#root);
    await rmdir(folder).catch(async (error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return;
      await listLeases(this.#root).catch(() => []);
      await rmdir(folder).catch(() => {});
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** One after the other: a renewal must not put older content over newer. */
  #write(): Promise<void> {
    const next = this.#writing.catch(() => {}).then(() => (this.#released ? undefined : this.#replace()));
    this.#writing = next.then(() => {});
    return this.#writing;
  }

  async #replace(): Promise<void> {
    const { purpose, detached, open = false } = this.#options;
    const now = Date.now();
    const text = JSON.stringify({
      version: 1,
      purpose,
      holder: {
        mark: processMark(),
        thread: threadMark(),
        host: hostname(),
        pid: process.pid,
        startedAt: now - process.uptime() * 1000,
      },
      ...(detached === true ? { boot: bootMark() } : { expiresAt: now + LEASE_MS }),
      createdAt: this.#createdAt,
      open,
      digests: [...this.#digests],
    });
    const temporary = `${this.path}.${randomBytes(4).toString('hex')}.tmp`;
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          await mkdir(leaseFolder(this.#root), { recursive: false }).catch((error: unknown) => {
            if (systemErrorCode(error) !== 'EEXIST') throw error;
          });
          await writeFile(temporary, text, { mode: 0o644 });
          await rename(temporary, this.path);
          return;
        } catch (error) {
          // An empty folder of leases is removed by whoever gave the last one back.
          if (systemErrorCode(error) !== 'ENOENT' || attempt >= 20) throw error;
        }
      }
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
  }
}

interface ReadLease {
  readonly info: LeaseInfo;
  readonly mark: string;
  readonly thread: string;
  readonly boot: string | undefined;
}

/** A file that makes no sense, or one of a newer version, keeps everything for as long as a lease lasts. */
async function readLease(path: string, name: string): Promise<ReadLease | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  // A pipe would be waited for.
  const isRead = found.isFile() && found.size <= MAX_LEASE_BYTES;
  const text = isRead ? await readFile(path, 'utf8').catch(() => '') : '';
  const id = name.replace(/\.json$/, '');
  const unknown: ReadLease = {
    info: {
      id,
      purpose: 'unknown',
      host: 'unknown',
      pid: 0,
      digests: [],
      open: true,
      createdAt: 0,
      expiresAt: Math.floor(found.mtimeMs) + LEASE_MS,
    },
    mark: unfinishedMark(name) ?? '',
    thread: '',
    boot: undefined,
  };
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const holder = value['holder'] as Record<string, unknown>;
    const { purpose, createdAt, expiresAt, boot } = value;
    if (value['version'] !== 1 || typeof holder['mark'] !== 'string' || typeof createdAt !== 'number') return unknown;
    const digests = Array.isArray(value['digests']) ? value['digests'] : [];
    return {
      info: {
        id,
        purpose: String(purpose),
        host: String(holder['host']),
        pid: Number(holder['pid']),
        digests: digests.filter((digest): digest is Digest => typeof digest === 'string' && isDigest(digest)),
        open: value['open'] === true,
        createdAt,
        ...(typeof expiresAt === 'number' ? { expiresAt } : {}),
      },
      mark: holder['mark'],
      thread: String(holder['thread']),
      boot: typeof boot === 'string' ? boot : undefined,
    };
  } catch {
    return unknown;
  }
}

function isInForce({ info, mark, thread, boot }: ReadLease): boolean {
  if (boot !== undefined) return boot === bootMark() && (info.expiresAt ?? Number.POSITIVE_INFINITY) > Date.now();
  const isRunning = isMarkAlive(mark);
  const alive = isRunning === true ? isThreadAlive(mark, thread) : isRunning;
  return alive ?? (info.expiresAt ?? 0) > Date.now();
}

function leaseFolder(root: string): string {
  return join(root, 'leases');
}

function pruneLock(root: string): string {
  return join(root, 'prune.lock');
}
