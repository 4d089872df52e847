/** Files of a folder as one plain tar: nothing in it but names, lengths and bytes. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { RootfsError } from '../errors.js';
import { endOfArchive, padding } from './block.js';
import { plainHeader } from './plain-header.js';

/** Options of `packFolder`. */
export interface PackFolderOptions {
  /** gzip's level, 0 to 9: 0 frames without compressing. Not compressed when absent. */
  readonly gzipLevel?: number | undefined;
}

/**
 * Streams a tar of files and folders below `folder`, in the order of `names`; folders without what is in them. Modes
 * are 0644 and 0755, times are 0, owners are root: the same files give the same bytes.
 *
 * One file is open at a time, and none once the stream has closed. The stream fails with the system's own errors, and
 * with `ERR_FILESYSTEM` for a file that became shorter.
 */
export async function packFolder(
  folder: string,
  names: readonly string[],
  options: PackFolderOptions = {},
): Promise<Readable> {
  const tar = Readable.from(members(folder, names), { objectMode: false, highWaterMark: CHUNK_BYTES });
  if (options.gzipLevel === undefined) return tar;
  const gzip = createGzip({ level: options.gzipLevel, chunkSize: CHUNK_BYTES });
  const { pipeline } = await import('node:stream');
  // An error of either side comes out of the result.
  pipeline(tar, gzip, () => {});
  return gzip;
}

const CHUNK_BYTES = 256 * 1024;
const READ_BYTES = 1024 * 1024;

async function* members(folder: string, names: readonly string[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const name of names) {
    const path = join(folder, name);
    const found = await stat(path);
    if (found.isDirectory()) {
      yield plainHeader(name, undefined);
      continue;
    }
    yield plainHeader(name, found.size);
    yield* content(path, found.size);
    yield padding(found.size);
  }
  yield endOfArchive();
}

async function* content(path: string, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (size === 0) return;
  const file = await open(path);
  try {
    for (let at = 0; at < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) {
        throw new RootfsError('ERR_FILESYSTEM', `${path}: it became shorter than ${size} bytes; write it again`);
      }
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}
