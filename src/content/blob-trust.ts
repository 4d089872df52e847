/** Which of the blobs in a folder can be believed: what is remembered of them, and what is done about bad ones. */
import { type BigIntStats, chmodSync, constants, lstatSync, unlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { closeAfter } from '../io/close-after.js';
import { withLock } from '../io/lock.js';
import { warn } from '../progress.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { hashFile, isAbsent, makeFolder } from './blob-file.js';
import type { BlobPlaces } from './blob-places.js';
import { addFacts, type BlobFacts, type BlobRecord, readRecord, writeRecord } from './blob-record.js';
import type { CallOptions } from './content.js';

/** Options of `BlobDir.find`. */
export interface FindOptions extends CallOptions {
  /** `'cached'` (default) believes a blob that is as `meta/` says; `'always'` hashes it again. */
  readonly verify?: 'cached' | 'always' | undefined;
}

/** Judges blobs and keeps their records. One belongs to each `BlobDir`, which says what is promised. */
export class BlobTrust {
  readonly #places: BlobPlaces;
  readonly #records: boolean;

  /** @param records Whether `meta/` is kept; without it every judgement hashes. */
  constructor(places: BlobPlaces, records: boolean) {
    this.#places = places;
    this.#records = records;
  }

  /** Whether records are kept. */
  get keepsRecords(): boolean {
    return this.#records;
  }

  /** The size of a blob that can be believed; `undefined` where there is none, or there was a bad one. */
  async judge(digest: Digest, options: FindOptions): Promise<number | undefined> {
    const path = this.#places.blob(digest);
    const named = lookAt(path);
    if (named === undefined) return undefined;
    if (!named.isFile()) return this.#reject(digest, named, 'not a regular file', options);
    const record = this.record(digest);
    if (options.verify !== 'always' && isAsRecorded(named, record)) return Number(named.size);
    // What is hashed is what was opened, which may be younger than what was seen above; never through a link.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(absentOr);
    return file === undefined ? undefined : this.#judgeBytes(digest, file, record, options);
  }

  async #judgeBytes(
    digest: Digest,
    file: FileHandle,
    record: BlobRecord | undefined,
    options: FindOptions,
  ): Promise<number | undefined> {
    const [seen, found] = await closeAfter(file, async () => {
      const stat = await file.stat({ bigint: true });
      const place = { offset: 0, size: Number(stat.size) };
      return [stat, await hashFile(file, requireVerifiable(digest).algorithm, place, options.signal)] as const;
    });
    if (found !== digest) return this.#reject(digest, seen, `its bytes hash to ${found}`, options);
    if (!isAsRecorded(seen, record)) await this.#heal(digest, seen, options);
    return Number(seen.size);
  }

  /** What is remembered of a blob; see `BlobDir.record`. */
  record(digest: Digest): BlobRecord | undefined {
    if (!this.#records) return undefined;
    const path = this.#places.record(digest);
    try {
      return readRecord(path);
    } catch (error) {
      throw wrapSystemError(error, path);
    }
  }

  /** Adds facts; see `BlobDir.note`. */
  async note(digest: Digest, facts: BlobFacts): Promise<void> {
    const record = this.record(digest);
    if (record === undefined || knows(record, facts)) return;
    await this.edit(digest, (now) => addFacts(now, facts)).catch((error: unknown) => {
      if (!(error instanceof RootfsError) || error.code !== 'ERR_PERMISSION') throw error;
    });
  }

  /** Changes a record; see `BlobDir.editRecord`. */
  edit(digest: Digest, edit: (record: BlobRecord) => BlobRecord): Promise<BlobRecord | undefined> {
    return this.#change(digest, (record) => record && edit(record));
  }

  /** Remembers that a blob's bytes were right, and the facts that came with them. */
  async remember(
    digest: Digest,
    seen: Pick<BlobRecord, 'size' | 'mtimeNs'>,
    facts: BlobFacts,
    call: CallOptions = {},
  ): Promise<void> {
    const now = Date.now();
    const fresh = { compressed: [], labels: {}, createdAt: now, updatedAt: now };
    await this.#change(digest, (record) => addFacts({ ...fresh, ...record, ...seen }, facts), call);
  }

  /** One process at a time: what another one adds meanwhile would be lost. */
  async #change(
    digest: Digest,
    change: (record: BlobRecord | undefined) => BlobRecord | undefined,
    call: CallOptions = {},
  ): Promise<BlobRecord | undefined> {
    if (!this.#records) return undefined;
    try {
      await makeFolder(this.#places.ingestFolder, false);
      const work = async (): Promise<BlobRecord | undefined> => {
        const next = change(this.record(digest));
        if (next !== undefined) this.#write(digest, next);
        return next;
      };
      return await withLock(this.#places.ingest(digest, 'commit.lock'), work, call);
    } catch (error) {
      throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, this.#places.record(digest));
    }
  }

  /** Replaces a record. It is not synced: one that a power failure spoils is only hashed for again. */
  #write(digest: Digest, record: BlobRecord): void {
    const { path, fd } = this.#places.openTemporary();
    writeRecord(this.#places.record(digest), path, fd, record);
  }

  /** Good bytes whose mode or record is not as it should be; in a store that cannot be written, or is full, they stay so. */
  async #heal(digest: Digest, seen: BigIntStats, call: CallOptions): Promise<void> {
    if (!this.#records) return;
    const path = this.#places.blob(digest);
    try {
      if (permissions(seen) !== 0o444) chmodSync(path, 0o444);
      await this.remember(digest, { size: Number(seen.size), mtimeNs: seen.mtimeNs }, {}, call);
    } catch (error) {
      if (!['ERR_PERMISSION', 'ERR_NO_SPACE'].includes(wrapSystemError(error, path).code)) throw error;
    }
  }

  async #reject(digest: Digest, bad: BigIntStats, reason: string, options: CallOptions): Promise<undefined> {
    const path = this.#places.blob(digest);
    if (bad.isDirectory()) {
      throw new RootfsError('ERR_FILESYSTEM', `${path}: a folder stands where a blob belongs; remove it`, {
        detail: { path },
      });
    }
    warn(options.onProgress, `${path}: ${reason}; it is removed, to be made again`);
    try {
      await makeFolder(this.#places.ingestFolder, false);
      const unlinkBad = async (): Promise<void> => {
        const now = lookAt(path);
        if (now?.ino === bad.ino && now.dev === bad.dev) unlinkSync(path);
      };
      await withLock(this.#places.ingest(digest, 'commit.lock'), unlinkBad, options);
    } catch (error) {
      // In a store that cannot be written the bad blob stays; it counts as absent all the same.
      if (wrapSystemError(error, path).code !== 'ERR_PERMISSION') throw error;
    }
    return undefined;
  }
}

function isAsRecorded(seen: BigIntStats, record: BlobRecord | undefined): boolean {
  return permissions(seen) === 0o444 && record?.size === Number(seen.size) && record.mtimeNs === seen.mtimeNs;
}

function permissions(seen: BigIntStats): number {
  return Number(seen.mode & 0o7777n);
}

function lookAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    return absentOr(error);
  }
}

function absentOr(error: unknown): undefined {
  // A link that appeared between looking and opening is judged the next time; now it counts as absent.
  if (isAbsent(error) || systemErrorCode(error) === 'ELOOP') return undefined;
  throw error;
}

function knows(record: BlobRecord, { compressed = [], labels = {} }: BlobFacts): boolean {
  return (
    compressed.every((digest) => record.compressed.includes(digest)) &&
    Object.entries(labels).every(([key, value]) => record.labels[key] === value)
  );
}
