/** Every byte of an image checked, and what its layers unpack to; nothing kept. */
import { requireLayerType } from '../codec/detect-compression.js';
import type { CallOptions, Fetcher, ReadOnlyTarget } from '../content/content.js';
import { fetchVerified } from '../content/fetch-verified.js';
import { retryDistrusted } from '../content/retry-distrusted.js';
import { RootfsError } from '../errors.js';
import { copyGraph } from '../image/copy-graph.js';
import { type CopyImageOptions, checkForeignLayers, checkJobs, readRoot } from '../image/copy-image.js';
import { DocumentReader } from '../image/document-reader.js';
import type { ImageDocument } from '../image/image.js';
import { imageFailure } from '../image/image-failure.js';
import { imageName } from '../image/image-name.js';
import { requireSource } from '../image/require-source.js';
import { eachUntilAborted, throwIfAborted } from '../io/abort.js';
import { readableOver } from '../io/as-readable.js';
import { mapConcurrently } from '../io/concurrency.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import type { LayerLimits } from '../layer/extract-options.js';
import { report, warn } from '../progress.js';
import { describeArtifact, isAttestation } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { layersOf } from '../spec/layers-of.js';
import { isForeignLayer } from '../spec/media-types.js';
import { checkLayer } from './check-layer.js';

/** Options of `validateImage`. */
export interface ValidateImageOptions extends Omit<CopyImageOptions, 'mountFrom'>, LayerLimits {
  /** Checks bytes against digests only: neither configs nor layers are looked into. Default false. */
  readonly digestsOnly?: boolean | undefined;
}

/** What was found sound. */
export interface ValidImage {
  readonly descriptor: Descriptor;
  /** Manifests and indexes. */
  readonly manifests: number;
  /** Configs and layers, each once. */
  readonly blobs: number;
  /** Bytes of these. */
  readonly bytes: number;
}

/**
 * Reads everything below a name and checks each byte against its digest: all platforms, unless one is named. Of images
 * also that the config is one, that it has a diffID for each layer, and that the layer unpacks to a tar of that
 * diffID. Artifacts have no such thing, nor has what an index says is an attestation; a layer that is encrypted or of
 * a type that is not read is checked for its bytes, and a warning says so. Foreign layers are left out unless asked for.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (a blob or manifest is missing), `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`,
 *   `ERR_CONFIG_INVALID`, `ERR_DECOMPRESS`, `ERR_DIFFID_MISMATCH`, `ERR_TAR_INVALID`, `ERR_LIMIT_EXCEEDED`, and as
 *   `fetchImage`; or the signal's own reason
 */
export async function validateImage(
  source: ReadOnlyTarget,
  reference: string,
  options: ValidateImageOptions = {},
): Promise<ValidImage> {
  const { signal, onProgress, maxLayerSize, maxRatio } = options;
  const jobs = checkJobs(options.jobs);
  checkForeignLayers(options.foreignLayers);
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  requireSource(source, reference);
  throwIfAborted(signal);
  try {
    const reader = new DocumentReader(source, reference, { signal, onProgress, maxBytes });
    const { root } = await readRoot(source, reference, reader, options);
    const graph = await copyGraph(root, reader, jobs);
    const blobs = graph.blobs.filter((blob) => options.foreignLayers === true || !isForeignLayer(blob));
    const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
    report(onProgress, { type: 'blobs:planned', blobs: blobs.length, bytes });
    const images = graph.images.filter(
      ({ descriptor, value }) => !isAttestation(descriptor) && describeArtifact(value) === undefined,
    );
    const { read, promised } = await promises(options.digestsOnly === true ? [] : images, reader, jobs);
    const check = async (blob: Descriptor, call: CallOptions): Promise<void> => {
      const { digest, size } = blob;
      report(onProgress, { type: 'blob:started', digest, bytes: size });
      const diffIds = promised.get(digest);
      const isLayer = diffIds !== undefined && isRead(blob, onProgress);
      const counted = counting(source, onProgress);
      await retryDistrusted(source, blob, onProgress, async () => {
        if (isLayer) await checkLayer(counted, blob, diffIds, { ...call, maxLayerSize, maxRatio });
        else if (!read.has(digest)) for await (const _ of await fetchVerified(counted, blob, call));
      });
      report(onProgress, { type: 'blob:copied', digest, bytes: size, skipped: false });
    };
    await mapConcurrently(blobs, (blob, blobSignal) => check(blob, { signal: blobSignal, onProgress }), {
      concurrency: jobs,
      signal,
    });
    const manifests = graph.levels.reduce((sum, level) => sum + level.length, 0);
    return { descriptor: root.descriptor, manifests, blobs: blobs.length, bytes };
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}

/** What the configs of images promise of their layers. */
interface Promises {
  /** The configs: read, and found to be what they should be. */
  readonly read: ReadonlySet<Digest>;
  /** By the digest of a layer, what it must unpack to: in two images it may stand with two algorithms. */
  readonly promised: ReadonlyMap<Digest, ReadonlySet<Digest>>;
}

async function promises(
  images: readonly ImageDocument<ImageManifest>[],
  reader: DocumentReader,
  jobs: number,
): Promise<Promises> {
  const read = new Set<Digest>();
  const promised = new Map<Digest, Set<Digest>>();
  await mapConcurrently(
    images,
    async ({ descriptor, value }, signal) => {
      const config = await reader.config(value.config, signal);
      read.add(config.descriptor.digest);
      for (const layer of layersOf(`${reader.name}: ${descriptor.digest}`, value, config.value)) {
        if (layer.diffId === undefined) continue;
        const { digest } = layer.descriptor;
        promised.set(digest, (promised.get(digest) ?? new Set()).add(layer.diffId));
      }
    },
    { concurrency: jobs, signal: reader.signal },
  );
  return { read, promised };
}

function isRead({ digest, mediaType }: Descriptor, onProgress: CallOptions['onProgress']): boolean {
  try {
    requireLayerType(mediaType, digest);
    return true;
  } catch (error) {
    if (!(error instanceof RootfsError)) throw error;
    warn(onProgress, `only its bytes are checked: ${error.message}`);
    return false;
  }
}

/** Tells of the bytes as they come. */
function counting(source: Fetcher, onProgress: CallOptions['onProgress']): Fetcher {
  return {
    fetch: async (target, options) => {
      const content = await source.fetch(target, options);
      return readableOver(content, counted(eachUntilAborted(content, options?.signal), target, onProgress));
    },
  };
}

async function* counted(
  content: AsyncIterable<Uint8Array>,
  { digest, size }: Descriptor,
  onProgress: CallOptions['onProgress'],
): AsyncGenerator<Uint8Array, void, undefined> {
  let copiedBytes = 0;
  for await (const chunk of content) {
    copiedBytes += chunk.byteLength;
    report(onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes });
    yield chunk;
  }
}
