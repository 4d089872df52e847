/** Layers made in code, and a source that serves them: as streams, or as local files. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { BlobLocation, FetchOptions } from '../../src/content/content.js';
import { RootfsError } from '../../src/errors.js';
import type { LayerSource } from '../../src/layer/layer-input.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import type { ImageLayer } from '../../src/spec/image-layer.js';
import { digestOf } from '../../src/testing/testing.js';

/** A layer with the bytes of both sides. */
export interface MadeLayer {
  readonly layer: ImageLayer & { readonly diffId: Digest };
  readonly blob: Buffer;
  readonly tar: Buffer;
}

/** Bytes that compress about as files do: words of a small, seeded vocabulary. Not a real tar; layers are not read here. */
export function seededTar(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2654435761) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const words = Array.from({ length: 512 }, () =>
    Buffer.from(Array.from({ length: 3 + (next() % 14) }, () => next() & 255)),
  );
  for (let at = 0; at < length; ) {
    const word = words[next() % words.length] as Buffer;
    at += word.copy(bytes, at);
  }
  return bytes;
}

/** A layer from a tar and its blob. */
export function makeLayer(tar: Buffer, blob: Buffer, mediaType: string): MadeLayer {
  const descriptor: Descriptor = { mediaType, digest: digestOf(blob), size: blob.length };
  return { layer: { descriptor, diffId: digestOf(tar) }, blob, tar };
}

/** A gzip layer. */
export function gzipLayer(tar: Buffer): MadeLayer {
  return makeLayer(tar, gzipSync(tar, { level: 1 }), 'application/vnd.oci.image.layer.v1.tar+gzip');
}

/** A source that counts what it is asked for. */
export interface CountingSource extends LayerSource {
  /** Digests in the order they were fetched, with the first byte. */
  readonly fetched: { readonly digest: Digest; readonly start: number }[];
}

/** Serves the blobs of layers: from files in `folder`, or as streams of 64 KiB chunks. `change` may damage a blob. */
export function blobSource(
  layers: readonly MadeLayer[],
  folder?: string,
  change: (blob: Buffer, digest: Digest) => Buffer = (blob) => blob,
): CountingSource {
  const blobs = new Map(
    layers.map(({ layer, blob }) => [layer.descriptor.digest, change(blob, layer.descriptor.digest)]),
  );
  const fetched: { digest: Digest; start: number }[] = [];
  const find = (target: Descriptor): Buffer => {
    const blob = blobs.get(target.digest);
    if (blob === undefined) throw new RootfsError('ERR_NOT_FOUND', `${target.digest}: not here`);
    return blob;
  };
  const source: CountingSource = {
    fetched,
    async fetch(target: Descriptor, options: FetchOptions = {}): Promise<Readable> {
      const start = options.range?.start ?? 0;
      const bytes = find(target).subarray(start, options.range?.end ?? target.size + 1);
      fetched.push({ digest: target.digest, start });
      return Readable.from(slices(bytes), { objectMode: false });
    },
  };
  if (folder === undefined) return source;
  return {
    ...source,
    async blobPath(target: Descriptor): Promise<BlobLocation> {
      const bytes = find(target);
      const path = join(folder, target.digest.slice(-16));
      writeFileSync(path, bytes);
      return { path, offset: 0, size: bytes.length };
    },
  };
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65536) yield bytes.subarray(at, at + 65536);
}
