/** A layer's tar as a gzip blob in a temporary file: a registry wants its digest before its bytes. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { CallOptions } from '../content/content.js';
import { makeWorkingFolder } from '../content/output-place.js';
import { isSystemError, wrapSystemError } from '../errors.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { discard } from '../io/discard.js';
import { verifyStream } from '../io/verify.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { PushLayer } from './push-layer.js';

/** A layer that is ready to be uploaded, on disk. */
export interface SpooledLayer {
  readonly digest: Digest;
  readonly size: number;
  /** The bytes; each iteration starts anew. */
  readonly content: AsyncIterable<Uint8Array>;
  remove(): Promise<void>;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Writes a layer to a temporary file, compressed where it is a plain tar: level 6, no name and no time in the header, so
 * that the same tar becomes the same blob each time (with the same version of Node's zlib). The tar is checked against
 * the diffID on its way.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`;
 *   what the layer and its stream fail with, as it is; the signal's reason
 */
export async function spoolLayer(layer: PushLayer, isPlain: boolean, options: CallOptions): Promise<SpooledLayer> {
  const { signal } = options;
  const folder = await makeWorkingFolder(undefined, 'set TMPDIR to a folder that can be written');
  const path = join(folder.path, 'blob');
  const hash = createHash('sha256');
  let size = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  let opened: Readable | undefined;
  try {
    opened = await untilAborted(layer.open(options), signal, discard);
    const source = isPlain ? verifyStream(opened, expected(layer)) : opened;
    const through = isPlain ? [createGzip({ level: 6, chunkSize: CHUNK_BYTES }), count] : [count];
    await pipeline([source, ...through, createWriteStream(path, { flags: 'wx', mode: 0o600 })], { signal });
  } catch (error) {
    await folder.remove();
    throwIfAborted(signal);
    throw isSystemError(error) && error !== opened?.errored ? wrapSystemError(error, path) : error;
  }
  return {
    digest: `sha256:${hash.digest('hex')}`,
    size,
    content: {
      [Symbol.asyncIterator]: () => createReadStream(path, { highWaterMark: CHUNK_BYTES })[Symbol.asyncIterator](),
    },
    remove: () => folder.remove(),
  };
}

function expected({ diffId, size, mediaType }: PushLayer): Descriptor {
  return { mediaType, digest: diffId, size };
}
