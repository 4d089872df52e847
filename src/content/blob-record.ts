/** What a store remembers of a blob beside its bytes: `meta/<algorithm>/<encoded>.json`. */
import { closeSync, fchmodSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { RootfsError, systemErrorCode } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import { readOwn } from '../io/own-file.js';
import { type Digest, isDigest } from '../spec/digest.js';

/** What is remembered of one blob. */
export interface BlobRecord {
  /** Length in bytes when its bytes were last found right. */
  readonly size: number;
  /** Modification time in nanoseconds since the epoch when its bytes were last found right. */
  readonly mtimeNs: bigint;
  /** Digests of the compressed blobs that this content came out of. */
  readonly compressed: readonly Digest[];
  readonly labels: Readonly<Record<string, string>>;
  /** When the blob came in and when the record was last changed, milliseconds since the epoch. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The part of a record that callers may add. */
export interface BlobFacts {
  readonly compressed?: readonly Digest[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Reads a record; `undefined` where there is none, or where the file is not one (it is written anew then). */
export function readRecord(path: string): BlobRecord | undefined {
  let text: string;
  try {
    text = readOwn(path);
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'EISDIR' || errno === 'EACCES') return undefined;
    throw error;
  }
  return parse(text);
}

/**
 * Writes a record so that readers see the old one or the new one.
 *
 * @param file Descriptor of a new open file under the name `temporary` on the same disk; closed and moved, or removed.
 */
export function writeRecord(path: string, temporary: string, file: number, record: BlobRecord): void {
  const text = JSON.stringify({ ...record, mtimeNs: String(record.mtimeNs) });
  try {
    try {
      writeFileSync(file, `${text}\n`);
      fchmodSync(file, 0o644);
    } finally {
      closeSync(file);
    }
    try {
      renameSync(temporary, path);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      makeFolders(dirname(path));
      renameSync(temporary, path);
    }
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // the first error counts
    }
    throw error;
  }
}

/** Checks labels: what is no text would be lost when they are read again. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkLabels(labels: unknown): void {
  if (typeof labels !== 'object' || labels === null || Array.isArray(labels)) {
    throw new RootfsError('ERR_OPTION_INVALID', 'labels: expected an object of texts; give { KEY: VALUE }');
  }
  for (const [key, value] of Object.entries(labels)) {
    if (value === undefined || typeof value === 'string') continue;
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `labels: the value of ${JSON.stringify(key)} is no text but of type ${typeof value}; give a text`,
    );
  }
}

/** A record with facts added: digests are united, labels replaced one by one. */
export function addFacts(record: BlobRecord, facts: BlobFacts): BlobRecord {
  return {
    ...record,
    compressed: [...new Set([...record.compressed, ...(facts.compressed ?? [])])],
    labels: Object.fromEntries([...Object.entries(record.labels), ...Object.entries(facts.labels ?? {})]),
    updatedAt: Date.now(),
  };
}

function parse(text: string): BlobRecord | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const { size, mtimeNs, compressed, labels, createdAt, updatedAt } = value;
    if (typeof size !== 'number' || typeof mtimeNs !== 'string' || !/^-?\d{1,20}$/.test(mtimeNs)) return undefined;
    return {
      size,
      mtimeNs: BigInt(mtimeNs),
      compressed: Array.isArray(compressed)
        ? compressed.filter((digest) => typeof digest === 'string' && isDigest(digest))
        : [],
      labels: Object.fromEntries(
        Object.entries(typeof labels === 'object' && labels !== null ? labels : {}).filter(
          (entry): entry is [string, string] => typeof entry[1] === 'string',
        ),
      ),
      createdAt: typeof createdAt === 'number' ? createdAt : 0,
      updatedAt: typeof updatedAt === 'number' ? updatedAt : 0,
    };
  } catch {
    return undefined;
  }
}
