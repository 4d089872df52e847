/** Cleaning `ingest/`: what dead processes left there, and what nobody will continue. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { removeIfDead, tryLock } from '../io/lock.js';
import { isMarkAlive } from '../io/process-mark.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { readRecord } from './blob-record.js';
import { INGEST_DATA } from './ingest-state.js';

/** How long a partial may wait to be continued, and how long a file of an unknown process may lie: seven days. */
export const LEFTOVER_MS = 7 * 24 * 60 * 60 * 1000;

/** What sweeping must know of the store around `ingest/`. */
export interface SweptStore {
  /** Whether a blob stands under this digest. */
  isHere(digest: Digest): Promise<boolean>;
  /** The folder of records. */
  readonly records: string;
}

const INGEST = /^ref-[0-9a-f]+$/;
const TEMPORARY = /^tmp-([0-9a-f]{8}-\d+-\d+)-/;
/** A partial, or the note beside it that says how far it has no gaps. */
const PARTIAL = /^(sha256|sha512)-([0-9a-f]+)\.partial(?:\.gapless)?$/;
const LOCK = /\.(?:lock|takeover)$/;

/**
 * Removes the leftovers of one `ingest/` folder. Files of living processes, partials younger than seven days whose
 * blob is missing, and ingests that can be resumed stay.
 *
 * @returns the names that were removed
 * @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` where the folder cannot be read
 */
export async function sweepIngest(folder: string, store: SweptStore): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw wrapSystemError(error, folder);
  });
  let sources: Set<Digest> | undefined;
  const removed: string[] = [];
  for (const name of names.sort()) {
    const path = join(folder, name);
    const partial = PARTIAL.exec(name);
    let gone = false;
    if (partial !== null) {
      const digest = `${partial[1]}:${partial[2]}` as Digest;
      const done = async (): Promise<boolean> => {
        sources ??= await recordedSources(store.records);
        return sources.has(digest) || (isDigest(digest) && (await store.isHere(digest)));
      };
      if ((await isOld(path)) || (await done()))
        gone = await removeHeld(path, path.replace(/\.partial(?:\.gapless)?$/, '.lock'));
    } else if (INGEST.test(name)) {
      if (await isOld(join(path, INGEST_DATA), path)) gone = await removeHeld(path, `${path}.lock`);
    } else if (LOCK.test(name)) {
      gone = await removeIfDead(path).catch(() => false);
    } else {
      const mark = TEMPORARY.exec(name)?.[1];
      // Of another name it is none of ours: the folder may be a link to one of somebody's.
      if (mark === undefined) continue;
      const alive = isMarkAlive(mark);
      if (alive === false || (alive === undefined && (await isOld(path)))) gone = removeWhatCanBe(path);
    }
    if (gone) removed.push(name);
  }
  return removed;
}

/** Removes the locks that dead holders left in a folder of locks. Never fails. */
export async function sweepLocks(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (LOCK.test(name)) await removeIfDead(join(folder, name)).catch(() => false);
  }
}

/** What somebody holds is in use, however old. */
async function removeHeld(path: string, lock: string): Promise<boolean> {
  const release = await tryLock(lock).catch(() => undefined);
  if (release === undefined) return false;
  try {
    return removeWhatCanBe(path);
  } finally {
    await release();
  }
}

/** Whether the first of these that is there was last written seven days ago. */
async function isOld(...paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const found = await lstat(path).catch(() => undefined);
    if (found !== undefined) return Date.now() - found.mtimeMs > LEFTOVER_MS;
  }
  return false;
}

/** The compressed digests of all blobs that are remembered. */
async function recordedSources(records: string): Promise<Set<Digest>> {
  const sources = new Set<Digest>();
  const names = await readdir(records, { recursive: true }).catch(() => []);
  for (const name of names.filter((entry) => entry.endsWith('.json'))) {
    for (const digest of recordedDigests(join(records, name))) sources.add(digest);
  }
  return sources;
}

function recordedDigests(path: string): readonly Digest[] {
  try {
    return readRecord(path)?.compressed ?? [];
  } catch {
    return [];
  }
}
