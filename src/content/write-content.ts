/** Content into a piece of a file: fetched, verified and written at once, with as few writes as that takes. */
import { closeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { wrapSystemError } from '../errors.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { FileWriter } from '../io/file-writer.js';
import { giveBack, takePiece } from '../io/lent-memory.js';
import { readChunks } from '../io/read-chunks.js';
import { requireBytes, Verifier } from '../io/verify.js';
import { report } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { absentBlob, openRegular, readAt } from './blob-file.js';
import type { BlobLocation, BlobPath, CallOptions, ContentChecker, Fetcher } from './content.js';
import { embeddedContent } from './fetch-verified.js';
import { retryDistrusted } from './retry-distrusted.js';

/** Buffers of a copy: one is read into, one hashed, one written. */
const BUFFERS = 3;

/**
 * Fetches content and writes it at `offset`, verified before this returns. When it throws, what stands there is
 * worthless. Tells `blob:started`, `blob:progressed` and `blob:copied`.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, what the source throws; the system's own errors
 */
export async function writeContent(
  source: Fetcher,
  target: Descriptor,
  file: FileHandle,
  offset: number,
  call: CallOptions,
): Promise<void> {
  const { digest, size } = target;
  await untilAborted((source as Partial<ContentChecker>).check?.(target, call), call.signal);
  report(call.onProgress, { type: 'blob:started', digest, bytes: size });
  await retryDistrusted(source, target, call.onProgress, () => writeOnce(source, target, file, offset, call));
  report(call.onProgress, { type: 'blob:copied', digest, bytes: size, skipped: false });
}

async function writeOnce(
  source: Fetcher,
  target: Descriptor,
  file: FileHandle,
  offset: number,
  call: CallOptions,
): Promise<void> {
  const { signal = new AbortController().signal, onProgress } = call;
  const verifier = new Verifier(target);
  const place = target.data === undefined ? (source as Partial<BlobPath>).blobPath?.(target, call) : undefined;
  const located = await untilAborted(place, signal);
  if (located !== undefined) return copyLocated(located, target, verifier, file, offset, call);
  const writer = new FileWriter(file, offset);
  const embedded = embeddedContent(target);
  const { digest, size } = target;
  const take = (chunk: Uint8Array): Promise<void> | undefined => {
    requireBytes(chunk, digest);
    verifier.update(chunk);
    report(onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes: verifier.receivedBytes });
    return writer.add(chunk);
  };
  if (embedded !== undefined) await take(embedded);
  else await readChunks(Promise.resolve(source.fetch(target, call)), signal, take);
  verifier.end();
}

/**
 * Copies content that lies in a local file: few buffers, used again and again. While one piece is hashed, the next is
 * read and the last is written.
 */
async function copyLocated(
  located: BlobLocation,
  target: Descriptor,
  verifier: Verifier,
  file: FileHandle,
  offset: number,
  call: CallOptions,
): Promise<void> {
  const opened = openRegular(located.path);
  if (opened === undefined) throw absentBlob(target.digest, located.path);
  const end = Math.min(located.size, target.size + 1);
  const buffers: Buffer[] = [];
  const bufferOf = (index: number): Buffer => {
    buffers[index % BUFFERS] ??= takePiece();
    return buffers[index % BUFFERS] as Buffer;
  };
  const readPiece = (at: number, index: number): Promise<number> => {
    const buffer = bufferOf(index);
    const length = Math.min(buffer.length, end - at);
    // Of the two files that are at work, the one that failed.
    const reading = readAt(opened.fd, buffer, length, located.offset + at).catch((error: unknown) => {
      throw wrapSystemError(error, located.path);
    });
    reading.catch(() => {});
    return reading;
  };
  let next = readPiece(0, 0);
  let writing: Promise<void> = Promise.resolve();
  try {
    for (let at = 0, index = 1; at < end; index += 1) {
      throwIfAborted(call.signal);
      const count = await next;
      if (count === 0) break;
      const piece = bufferOf(index - 1).subarray(0, count);
      if (at + count < end) next = readPiece(at + count, index);
      verifier.update(piece);
      await writing;
      writing = writeAll(file, piece, offset + at);
      writing.catch(() => {});
      at += count;
      const { digest, size: bytes } = target;
      report(call.onProgress, { type: 'blob:progressed', digest, bytes, copiedBytes: at });
    }
    verifier.end();
    await writing;
  } finally {
    await Promise.allSettled([next, writing]);
    for (const buffer of buffers) giveBack(buffer);
    closeSync(opened.fd);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    at += (await file.write(bytes, at, bytes.byteLength - at, offset + at)).bytesWritten;
  }
}
