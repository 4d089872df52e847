/**
 * Builds images in code: every byte of them, right or wrong.
 *
 * It knows manifests, configs and layers as the specification writes them; it must not know registries or stores.
 */
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest, DigestAlgorithm } from '../spec/digest.js';
import type { ImageConfig } from '../spec/image-config.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { MediaType } from '../spec/media-types.js';
import type { Platform } from '../spec/platform.js';
import { type Built, describe, digestOf } from './built.js';
import { type Compression, compress } from './compress.js';
import { LayerBuilder } from './layer-builder.js';

/** How one layer is stored and named. */
export interface LayerOptions {
  /** Default: the image's, which is gzip. */
  readonly compression?: Compression | undefined;
  /** Default: what the compression and the image's family of media types say. */
  readonly mediaType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly urls?: readonly string[] | undefined;
  /** The descriptor carries the blob itself in `data`. */
  readonly inline?: boolean | undefined;
  /** Algorithm of the blob's digest. Default sha256. */
  readonly digestAlgorithm?: DigestAlgorithm | undefined;
  /** Stands in the config instead of the digest of the tar. */
  readonly diffId?: Digest | undefined;
  /** The blob itself, instead of the compressed tar. */
  readonly blob?: Uint8Array | undefined;
  /** Fields of the descriptor that replace what would be written, for instance a wrong size. */
  readonly descriptor?: Partial<Descriptor> | undefined;
  /** The blob is not among `blobs`: the manifest names what nobody has. */
  readonly missing?: boolean | undefined;
}

/** One layer of a built image. */
export interface BuiltLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** The uncompressed tar. */
  readonly tar: Buffer;
  /** The bytes that `descriptor` names. */
  readonly blob: Buffer;
}

/** An image and all its parts. */
export interface BuiltImage extends Built {
  readonly manifest: ImageManifest;
  readonly manifestBytes: Buffer;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** Base first. */
  readonly layers: readonly BuiltLayer[];
  readonly platform: Platform;
}

/** The parts of a platform as text (`linux/arm64/v8`). Nothing is normalised. */
export function platformOf(text: string | Platform): Platform {
  if (typeof text !== 'string') return text;
  const [os = 'linux', architecture = 'amd64', variant] = text.split('/');
  return variant === undefined ? { architecture, os } : { architecture, os, variant };
}

/** Whose media types an image has. */
export type Family = 'oci' | 'docker';

const TYPES = {
  oci: {
    manifest: MediaType.ociManifest,
    config: MediaType.ociConfig,
    none: MediaType.ociLayer,
    gzip: MediaType.ociLayerGzip,
    zstd: MediaType.ociLayerZstd,
  },
  docker: {
    manifest: MediaType.dockerManifest,
    config: MediaType.dockerConfig,
    none: MediaType.dockerLayer,
    gzip: MediaType.dockerLayerGzip,
    zstd: MediaType.dockerLayerZstd,
  },
} as const;

/** Builds one image; every method but `build` returns the builder. `image()` makes one. */
export class ImageBuilder {
  readonly #layers: { readonly tar: Buffer; readonly options: LayerOptions }[] = [];
  #platform: Platform = { architecture: 'amd64', os: 'linux' };
  #config: Readonly<Record<string, unknown>> = {};
  #configFields: Readonly<Record<string, unknown>> = {};
  #manifestFields: Readonly<Record<string, unknown>> = {};
  #history: readonly unknown[] | false | undefined;
  #family: Family = 'oci';
  #compression: Compression = 'gzip';
  #algorithm: DigestAlgorithm = 'sha256';

  /** What the image runs on, as text (`linux/arm64`) or in full. Default linux/amd64. */
  platform(platform: string | Platform): this {
    this.#platform = platformOf(platform);
    return this;
  }

  /** Execution parameters (`Env`, `Cmd`, `User`, …): the `config` member of the image config. */
  config(fields: Readonly<Record<string, unknown>>): this {
    this.#config = { ...this.#config, ...fields };
    return this;
  }

  /** Top-level fields of the image config, over what would be written (`created`, or a wrong `rootfs`). */
  configFields(fields: Readonly<Record<string, unknown>>): this {
    this.#configFields = { ...this.#configFields, ...fields };
    return this;
  }

  /** Top-level fields of the manifest, over what would be written; `undefined` removes one. */
  manifestFields(fields: Readonly<Record<string, unknown>>): this {
    this.#manifestFields = { ...this.#manifestFields, ...fields };
    return this;
  }

  /** A layer on top of those before: built entry by entry, or a tar as it is. */
  layer(content: ((layer: LayerBuilder) => unknown) | Uint8Array, options: LayerOptions = {}): this {
    let tar: Buffer;
    if (content instanceof Uint8Array) {
      tar = Buffer.from(content);
    } else {
      const builder = new LayerBuilder();
      content(builder);
      tar = builder.tar();
    }
    this.#layers.push({ tar, options });
    return this;
  }

  /** The config's history, verbatim; `false` for none. Default: one entry a layer. */
  history(entries: readonly unknown[] | false): this {
    this.#history = entries;
    return this;
  }

  /** Annotations of the manifest. */
  annotations(annotations: Readonly<Record<string, string>>): this {
    return this.manifestFields({ annotations });
  }

  /** The manifest's subject: this image refers to it. */
  subject(subject: Descriptor, artifactType?: string): this {
    return this.manifestFields({ subject, ...(artifactType === undefined ? {} : { artifactType }) });
  }

  /** OCI's media types (the default) or Docker's. */
  mediaTypes(family: Family): this {
    this.#family = family;
    return this;
  }

  /** Compression of the layers that name none. Default gzip. */
  compression(compression: Compression): this {
    this.#compression = compression;
    return this;
  }

  /** Algorithm of the digests of manifest, config and those layers that name none. Default sha256. */
  digestAlgorithm(algorithm: DigestAlgorithm): this {
    this.#algorithm = algorithm;
    return this;
  }

  /** The image. The same calls give the same bytes (with a `stored` compression on every Node version). */
  build(): BuiltImage {
    const types = TYPES[this.#family];
    const blobs = new Map<Digest, Buffer>();
    const layers = this.#layers.map(({ tar, options }): BuiltLayer => {
      const compression = options.compression ?? this.#compression;
      const name = typeof compression === 'string' ? compression : compression.algorithm;
      const blob = options.blob === undefined ? compress(tar, compression) : Buffer.from(options.blob);
      const descriptor: Descriptor = {
        ...describe(options.mediaType ?? types[name], blob, options.digestAlgorithm ?? this.#algorithm),
        ...(options.urls === undefined ? {} : { urls: options.urls }),
        ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
        ...(options.inline === true ? { data: blob.toString('base64') } : {}),
        ...options.descriptor,
      };
      if (options.missing !== true) blobs.set(descriptor.digest, blob);
      return { descriptor, diffId: options.diffId ?? digestOf(tar), tar, blob };
    });
    const history =
      this.#history ?? layers.map((_, index) => ({ created: '2024-01-01T00:00:00Z', created_by: `layer ${index}` }));
    const config: ImageConfig = {
      created: '2024-01-01T00:00:00Z',
      ...this.#platform,
      config: this.#config,
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      ...(history === false ? {} : { history }),
      ...this.#configFields,
    } as ImageConfig;
    const configBytes = Buffer.from(JSON.stringify(config));
    const configDescriptor = describe(types.config, configBytes, this.#algorithm);
    blobs.set(configDescriptor.digest, configBytes);
    const manifest: ImageManifest = {
      schemaVersion: 2,
      mediaType: types.manifest,
      config: configDescriptor,
      layers: layers.map((layer) => layer.descriptor),
      ...this.#manifestFields,
    };
    const manifestBytes = Buffer.from(JSON.stringify(manifest));
    const descriptor = describe(types.manifest, manifestBytes, this.#algorithm);
    blobs.set(descriptor.digest, manifestBytes);
    return {
      descriptor,
      manifest,
      manifestBytes,
      config,
      configBytes,
      layers,
      platform: this.#platform,
      blobs,
      documents: new Map([[descriptor.digest, types.manifest]]),
    };
  }
}

/** Starts an image: `image().layer((l) => l.dir('etc').file('etc/motd', 'hi')).build()`. */
export function image(): ImageBuilder {
  return new ImageBuilder();
}
