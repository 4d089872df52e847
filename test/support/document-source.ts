/** A source of JSON documents that tests damage at will, and that counts what it is asked for. */
import { Readable } from 'node:stream';
import type { CallOptions, ReadOnlyTarget, ReferenceFetcher } from '../../src/content/content.js';
import { RootfsError } from '../../src/errors.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { MediaType } from '../../src/spec/media-types.js';
import type { Platform } from '../../src/spec/platform.js';
import { digestOf } from '../../src/testing/testing.js';

/** A digest of nothing in particular, the same for the same number. */
export function someDigest(number: number): Digest {
  return digestOf(Buffer.from(`content ${number}`));
}

/** Documents by digest, names, and a log of requests. */
export class DocumentSource implements ReadOnlyTarget {
  readonly blobs = new Map<string, Uint8Array>();
  readonly names = new Map<string, Descriptor>();
  readonly log: string[] = [];

  /** Keeps a document (an object is written as JSON) and returns its descriptor. */
  add(mediaType: string, document: object | Uint8Array | string, more: Partial<Descriptor> = {}): Descriptor {
    const bytes =
      document instanceof Uint8Array
        ? document
        : Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
    const digest = digestOf(bytes);
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.byteLength, ...more };
  }

  /** Makes an image of `layers` layers for a platform and returns its manifest's descriptor. */
  image(platform: Partial<Platform>, layers = 1, more: Partial<Descriptor> = {}): Descriptor {
    const config = this.add(MediaType.ociConfig, {
      architecture: '',
      os: '',
      ...platform,
      rootfs: { type: 'layers', diff_ids: Array.from({ length: layers }, (_, i) => someDigest(i)) },
    });
    return this.add(
      MediaType.ociManifest,
      {
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config,
        layers: Array.from({ length: layers }, (_, i) => layer(100 + i)),
      },
      more,
    );
  }

  /** Makes an index of entries and returns its descriptor. */
  index(manifests: readonly Descriptor[], more: object = {}): Descriptor {
    return this.add(MediaType.ociIndex, { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests, ...more });
  }

  /** Gives a descriptor a name. */
  name(reference: string, descriptor: Descriptor): this {
    this.names.set(reference, descriptor);
    return this;
  }

  async resolve(reference: string): Promise<Descriptor> {
    this.log.push(`resolve ${reference}`);
    const found = this.names.get(reference);
    if (found === undefined) throw new RootfsError('ERR_NOT_FOUND', `${reference}: not found`);
    return found;
  }

  async fetch(target: Descriptor, { signal }: CallOptions = {}): Promise<Readable> {
    this.log.push(`fetch ${target.digest}`);
    signal?.throwIfAborted();
    const bytes = this.blobs.get(target.digest);
    if (bytes === undefined) throw new RootfsError('ERR_NOT_FOUND', `${target.digest}: not found`);
    return Readable.from([Buffer.from(bytes.subarray(0, target.size + 1))], { objectMode: false });
  }

  async exists(target: Descriptor): Promise<boolean> {
    return this.blobs.has(target.digest);
  }
}

/** The same with the power to answer a reference with its content. */
export class OneRequestSource extends DocumentSource implements ReferenceFetcher {
  /** The streams that were handed out. */
  readonly streams: Readable[] = [];

  async fetchReference(reference: string): Promise<{ descriptor: Descriptor; content: Readable }> {
    this.log.push(`fetchReference ${reference}`);
    const descriptor = this.names.get(reference);
    const bytes = descriptor && this.blobs.get(descriptor.digest);
    if (descriptor === undefined || bytes === undefined)
      throw new RootfsError('ERR_NOT_FOUND', `${reference}: not found`);
    const content = Readable.from([Buffer.from(bytes)], { objectMode: false });
    this.streams.push(content);
    return { descriptor, content };
  }
}

/** The descriptor of a gzip layer that is not there. */
export function layer(number: number): Descriptor {
  return { mediaType: MediaType.ociLayerGzip, digest: someDigest(number), size: 1000 + number };
}
