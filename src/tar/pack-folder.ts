/** Files of a folder as one plain tar: nothing in it but names, lengths and bytes. */
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';

/** Options of `packFolder`. */
export interface PackFolderOptions {
  /** gzip's level, 0 to 9: 0 frames without compressing. Not compressed when absent. */
  readonly gzipLevel?: number | undefined;
}

/**
 * Streams a tar of files and folders below `folder`, in the order of `names`; folders without what is in them. Modes
 * are 0644 and 0755, times are 0, owners are not told: the same files give the same bytes.
 *
 * The stream fails with the system's own errors.
 */
export async function packFolder(
  folder: string,
  names: readonly string[],
  options: PackFolderOptions = {},
): Promise<Readable> {
  const { create } = await import('tar');
  const packed = create(
    { cwd: folder, portable: true, noDirRecurse: true, mtime: new Date(0), noMtime: false, strict: true },
    [...names],
  );
  const tar = Readable.from(packed as AsyncIterable<Buffer>, { objectMode: false, highWaterMark: CHUNK_BYTES });
  if (options.gzipLevel === undefined) return tar;
  const gzip = createGzip({ level: options.gzipLevel, chunkSize: CHUNK_BYTES });
  const { pipeline } = await import('node:stream');
  // An error of either side comes out of the result.
  pipeline(tar, gzip, () => {});
  return gzip;
}

const CHUNK_BYTES = 256 * 1024;
