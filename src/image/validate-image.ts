/** Every byte of an image checked, none kept. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { fetchVerified } from '../content/fetch-verified.js';
import { throwIfAborted } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { report } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { copyGraph, isForeignLayer } from './copy-graph.js';
import { type CopyImageOptions, checkJobs, readRoot } from './copy-image.js';
import { DocumentReader } from './document-reader.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';

/** Options of `validateImage`. */
export type ValidateImageOptions = Omit<CopyImageOptions, 'mountFrom'>;

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
 * Reads everything below a name and checks each byte against its digest: all platforms, unless one is named. Layers
 * that are not handed on (`foreign`) are left out unless asked for.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (a blob or manifest is missing), `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, and
 *   as `fetchImage`; or the signal's own reason
 */
export async function validateImage(
  source: ReadOnlyTarget,
  reference: string,
  options: ValidateImageOptions = {},
): Promise<ValidImage> {
  const { signal, onProgress } = options;
  const jobs = checkJobs(options.jobs);
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  throwIfAborted(signal);
  try {
    const reader = new DocumentReader(source, reference, { signal, onProgress, maxBytes });
    const { root } = await readRoot(source, reference, reader, options);
    const graph = await copyGraph(root, reader, jobs);
    const blobs = graph.blobs.filter((blob) => options.foreignLayers === true || !isForeignLayer(blob));
    const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
    report(onProgress, { type: 'blobs:planned', blobs: blobs.length, bytes });
    await mapConcurrently(blobs, (blob, blobSignal) => readThrough(source, blob, { signal: blobSignal, onProgress }), {
      concurrency: jobs,
      signal,
    });
    const manifests = graph.levels.reduce((sum, level) => sum + level.length, 0);
    return { descriptor: root.descriptor, manifests, blobs: blobs.length, bytes };
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}

async function readThrough(source: ReadOnlyTarget, target: Descriptor, call: CallOptions): Promise<void> {
  const { digest, size } = target;
  report(call.onProgress, { type: 'blob:started', digest, bytes: size });
  let copiedBytes = 0;
  for await (const chunk of await fetchVerified(source, target, call)) {
    copiedBytes += (chunk as Uint8Array).byteLength;
    report(call.onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes });
  }
  report(call.onProgress, { type: 'blob:copied', digest, bytes: size, skipped: false });
}
