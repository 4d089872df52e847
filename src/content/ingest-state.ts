/** Ingests on disk: `ingest/ref-<hash of the ref>/` with the bytes so far and what they shall become. */
import { createHash } from 'node:crypto';
import { chmod, lstat, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RootfsError, systemErrorCode } from '../errors.js';
import { makeFolders } from '../io/make-folders.js';
import { REPLACE_OWN, readOwn } from '../io/own-file.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';

/** The file of an ingest that holds its bytes. */
export const INGEST_DATA = 'data';
const STATE = 'state.json';
/** The longest name of an ingest, in characters. */
export const MAX_REF_LENGTH = 4096;

/** What an ingest shall become. */
export interface ExpectedBlob {
  readonly digest: Digest;
  /** Length in bytes, where it is known. */
  readonly size?: number | undefined;
}

/** How far an ingest is. Moments are milliseconds since the epoch. */
export interface IngestStatus {
  readonly ref: string;
  /** Bytes that were written so far. */
  readonly offset: number;
  readonly expected?: ExpectedBlob | undefined;
  readonly startedAt: number;
  readonly updatedAt: number;
}

/** The folder of an ingest. @throws RootfsError `ERR_OPTION_INVALID` for a ref that is empty or too long */
export function ingestPath(ingestFolder: string, ref: string): string {
  if (typeof ref !== 'string' || ref === '' || ref.length > MAX_REF_LENGTH) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `ref: ${JSON.stringify(String(ref).slice(0, 100))} is no name for an ingest; give 1 to ${MAX_REF_LENGTH} characters`,
    );
  }
  return join(ingestFolder, `ref-${createHash('sha256').update(ref).digest('hex').slice(0, 32)}`);
}

/** Starts an ingest's folder, or finds the one that is there: then `expected` must not contradict it. */
export async function startIngest(
  path: string,
  ref: string,
  expected: ExpectedBlob | undefined,
): Promise<IngestStatus> {
  await unseal(join(path, INGEST_DATA));
  const found = await readIngest(path);
  if (found === undefined) {
    const now = Date.now();
    makeFolders(path);
    await rm(join(path, INGEST_DATA), { force: true });
    await writeFile(join(path, STATE), JSON.stringify({ ref, startedAt: now, expected }), { flag: REPLACE_OWN });
    return { ref, offset: 0, expected, startedAt: now, updatedAt: now };
  }
  const before = found.expected;
  const contradicts =
    before !== undefined &&
    expected !== undefined &&
    (before.digest !== expected.digest ||
      (before.size !== undefined && expected.size !== undefined && before.size !== expected.size));
  if (!contradicts) return { ...found, expected: expected ?? before };
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `${ref}: this ingest shall become ${show(before)}, not ${show(expected)}; abort it first`,
    {
      detail: {
        ref,
        expected: before.digest,
        found: expected.digest,
        expectedBytes: before.size,
        foundBytes: expected.size,
      },
    },
  );
}

function show({ digest, size }: ExpectedBlob): string {
  return size === undefined ? digest : `${digest} of ${size} bytes`;
}

/**
 * A commit that died left the bytes as a blob has them, and maybe named as one: a blob's own file is not written to
 * again, and the ingest begins anew.
 */
async function unseal(data: string): Promise<void> {
  const found = await lstat(data).catch(() => undefined);
  if (found?.isFile() !== true || (found.mode & 0o200) !== 0) return;
  if (found.nlink > 1) await unlink(data);
  else await chmod(data, 0o600);
}

/** Reads an ingest's state; `undefined` where there is none that can be resumed. */
export async function readIngest(path: string): Promise<IngestStatus | undefined> {
  try {
    const { ref, startedAt, expected } = JSON.parse(readOwn(join(path, STATE))) as Record<string, unknown>;
    if (typeof ref !== 'string' || typeof startedAt !== 'number') return undefined;
    const data = await lstat(join(path, INGEST_DATA)).catch(() => undefined);
    const { size: offset = 0, mtimeMs = startedAt } = data?.isFile() === true ? data : {};
    return { ref, offset, expected: checkExpected(expected), startedAt, updatedAt: Math.floor(mtimeMs) };
  } catch (error) {
    // What is half-written by a process that died is begun anew.
    const errno = systemErrorCode(error);
    if (errno === undefined || errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Yields the ingests of a store, in no promised order. */
export async function* readIngests(ingestFolder: string): AsyncGenerator<IngestStatus, void, undefined> {
  const names = await readdir(ingestFolder).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter((entry) => /^ref-[0-9a-f]+$/.test(entry))) {
    const status = await readIngest(join(ingestFolder, name));
    if (status !== undefined) yield status;
  }
}

function checkExpected(value: unknown): ExpectedBlob | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { digest, size } = value as Record<string, unknown>;
  if (typeof digest !== 'string') return undefined;
  requireVerifiable(digest);
  return { digest: digest as Digest, ...(Number.isSafeInteger(size) ? { size: size as number } : {}) };
}
