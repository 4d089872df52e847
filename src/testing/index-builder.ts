/** Builds image indexes: several platforms, nested indexes, attestations, entries that name nothing. */
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { ImageIndex } from '../spec/image-index.js';
import { MediaType } from '../spec/media-types.js';
import type { Platform } from '../spec/platform.js';
import { type Built, describe } from './built.js';
import { type BuiltImage, image, platformOf } from './image-builder.js';

/** An index and everything below it. */
export interface BuiltIndex extends Built {
  readonly index: ImageIndex;
  readonly indexBytes: Buffer;
}

/** How an entry stands in the index. */
export interface IndexEntryOptions {
  /** Default: an image's own platform; none for an index. `false` leaves it out. */
  readonly platform?: string | Platform | false | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** The descriptor stands in the index, its content does not come along. */
  readonly missing?: boolean | undefined;
}

/** Builds one index; every method but `build` returns the builder. `index()` makes one. */
export class IndexBuilder {
  readonly #entries: Descriptor[] = [];
  readonly #blobs = new Map<Digest, Buffer>();
  readonly #documents = new Map<Digest, string>();
  #fields: Readonly<Record<string, unknown>> = {};
  #mediaType: string = MediaType.ociIndex;

  /** An image or an index below this one. */
  add(built: Built, options: IndexEntryOptions = {}): this {
    const own = 'platform' in built ? (built as BuiltImage).platform : undefined;
    const platform = options.platform === false ? undefined : (options.platform ?? own);
    if (options.missing !== true) {
      for (const [digest, bytes] of built.blobs) this.#blobs.set(digest, bytes);
      for (const [digest, mediaType] of built.documents) this.#documents.set(digest, mediaType);
    }
    return this.entry({
      ...built.descriptor,
      ...(platform === undefined ? {} : { platform: platformOf(platform) }),
      ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
    });
  }

  /** A descriptor as it is; nothing comes along. */
  entry(descriptor: Descriptor): this {
    this.#entries.push(descriptor);
    return this;
  }

  /** An attestation of an image, as BuildKit writes it: platform unknown/unknown, and an annotation that names the image. */
  attestation(of: Built): this {
    const statement = Buffer.from(JSON.stringify({ _type: 'https://in-toto.io/Statement/v0.1', subject: [] }));
    const attestation = image()
      .platform('unknown/unknown')
      .layer(new Uint8Array(), { blob: statement, mediaType: 'application/vnd.in-toto+json' })
      .build();
    return this.add(attestation, {
      annotations: {
        'vnd.docker.reference.digest': of.descriptor.digest,
        'vnd.docker.reference.type': 'attestation-manifest',
      },
    });
  }

  /** OCI's media type (the default) or Docker's manifest list. */
  mediaTypes(family: 'oci' | 'docker'): this {
    this.#mediaType = family === 'oci' ? MediaType.ociIndex : MediaType.dockerManifestList;
    return this;
  }

  /** Top-level fields of the index, over what would be written; `undefined` removes one. */
  fields(fields: Readonly<Record<string, unknown>>): this {
    this.#fields = { ...this.#fields, ...fields };
    return this;
  }

  /** Annotations of the index. */
  annotations(annotations: Readonly<Record<string, string>>): this {
    return this.fields({ annotations });
  }

  /** The index. The same calls give the same bytes. */
  build(): BuiltIndex {
    const value: ImageIndex = {
      schemaVersion: 2,
      mediaType: this.#mediaType,
      manifests: [...this.#entries],
      ...this.#fields,
    };
    const indexBytes = Buffer.from(JSON.stringify(value));
    const descriptor = describe(this.#mediaType, indexBytes);
    return {
      descriptor,
      index: value,
      indexBytes,
      blobs: new Map([...this.#blobs, [descriptor.digest, indexBytes]]),
      documents: new Map([...this.#documents, [descriptor.digest, this.#mediaType]]),
    };
  }
}

/** Starts an index: `index().add(amd64).add(arm64).build()`. */
export function index(): IndexBuilder {
  return new IndexBuilder();
}
