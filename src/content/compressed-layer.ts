/**
 * A compressed layer of an image without a manifest of its own: its digest is computed from the bytes that are there, so
 * that only what the config promises of the uncompressed ones says whether they are the right ones.
 */
import { createHash } from 'node:crypto';
import type { Inflater } from '../codec/inflater.js';
import { DEFAULT_MAX_LAYER_BYTES, DEFAULT_MAX_RATIO, openInflater } from '../codec/open-inflater.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { closeAfter } from '../io/close-after.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { damagedArchive } from './archive-file.js';
import { goneArchive, openRegularFile } from './blob-file.js';
import type { BlobLocation } from './content.js';

/** A layer as it lies in an archive. */
export interface CompressedLayer {
  /** Its name in the archive. */
  readonly name: string;
  readonly location: BlobLocation;
  /** What the image's config promises. */
  readonly diffId: Digest;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Decompresses a layer, keeping nothing, and compares what comes out with its diffID.
 *
 * @param place What errors name: the archive.
 * @throws RootfsError `ERR_DIFFID_MISMATCH`, `ERR_DECOMPRESS`, `ERR_LIMIT_EXCEEDED`, `ERR_FILESYSTEM`; the abort's reason
 */
export async function checkCompressedLayer(
  place: string,
  { name, location, diffId }: CompressedLayer,
  signal: AbortSignal | undefined,
): Promise<void> {
  const subject = `${place}: ${name}`;
  const opened = await openRegularFile(location.path);
  if (opened === undefined) throw goneArchive(place);
  const { file } = opened;
  const found = await closeAfter(file, async () => {
    const { algorithm } = requireVerifiable(diffId);
    const hash = createHash(algorithm);
    const room = Buffer.allocUnsafe(CHUNK_BYTES);
    const output = {
      space: () => room,
      filled: (length: number) => void hash.update(room.subarray(0, length)),
    };
    const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, location.size)));
    const limits = { maxBytes: DEFAULT_MAX_LAYER_BYTES, maxRatio: DEFAULT_MAX_RATIO };
    let inflater: Inflater | undefined;
    try {
      for (let done = 0; done < location.size; ) {
        throwIfAborted(signal);
        const length = Math.min(buffer.length, location.size - done);
        const { bytesRead } = await file.read(buffer, 0, length, location.offset + done);
        if (bytesRead === 0) break;
        const chunk = buffer.subarray(0, bytesRead);
        inflater ??= await openInflater({ subject, mediaType: MediaType.ociLayer, prefix: chunk, output, ...limits });
        inflater.push(chunk);
        done += bytesRead;
      }
      inflater?.finish();
    } catch (error) {
      throw damagedArchive(subject, error);
    } finally {
      inflater?.close();
    }
    return `${algorithm}:${hash.digest('hex')}`;
  });
  if (found === diffId) return;
  throw new RootfsError(
    'ERR_DIFFID_MISMATCH',
    `${subject}: its uncompressed bytes are ${found}, the image's config promises ${diffId}; save the image again`,
    { detail: { archive: place, name, expected: diffId, found } },
  );
}
