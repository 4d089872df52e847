/** An image from any source to any store, its digests kept. */
import { Readable } from 'node:stream';
import type { CallOptions, Pusher, ReadOnlyStorage, ReadOnlyTarget, Tagger, TagPusher } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted, untilEnded } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { oneOf } from '../io/one-of.js';
import { wholeNumber } from '../io/whole-number.js';
import { report, warn } from '../progress.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { isVerifiable } from '../spec/digest.js';
import { isForeignLayer } from '../spec/media-types.js';
import type { Platform } from '../spec/platform.js';
import { adviseForeign } from './advise-foreign.js';
import { type CopiedBlob, copyBlob } from './copy-blob.js';
import { type CopiedDocument, copyGraph } from './copy-graph.js';
import { DocumentReader, type ReadDocument } from './document-reader.js';
import { fetchImage } from './fetch-image.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { requireDestination, requireSource } from './require-source.js';

/** Where an image can be copied to: a registry's repository, an OCI layout, a store in memory. */
export type CopyDestination = ReadOnlyStorage & Pusher & Tagger;

/** Options of `copyImage`. */
export interface CopyImageOptions extends CallOptions {
  /**
   * Copies the image for this platform only; `all`: everything the source's name points at. Default: `all` for a
   * store, the host's platform for an archive, which takes one.
   */
  readonly platform?: Platform | string | undefined;
  /** Blobs on their way at once, 1 to 64. Default 6. */
  readonly jobs?: number | undefined;
  /**
   * A repository of the destination's registry whose blobs are mounted instead of moved. Default: the source's
   * repository, where source and destination are of one registry.
   */
  readonly mountFrom?: string | undefined;
  /**
   * Whether layers that must not be handed on (`nondistributable`, `foreign`) are copied too; `available`: those that
   * can be had, and the others are left out with a warning. Default: false for a registry, else `available`.
   */
  readonly foreignLayers?: boolean | 'available' | undefined;
  /** The most bytes that an index, a manifest or a config may have; 4 MiB when absent. */
  readonly maxManifestBytes?: number | undefined;
}

/** What was copied. */
export interface CopyResult {
  /** What the destination's name points at now. */
  readonly descriptor: Descriptor;
  /** What the source's name pointed at: the index, where one platform was taken out of it. */
  readonly source: Descriptor;
  /** Manifests and indexes, the root among them. */
  readonly manifests: number;
  readonly copiedBlobs: number;
  readonly copiedBytes: number;
  /** Blobs that were there already. */
  readonly presentBlobs: number;
  /** Blobs that the registry took over from another of its repositories. */
  readonly mountedBlobs: number;
  /** Layers that were left out: not handed on, or not to be had. Whoever needs them asks where their `urls` say. */
  readonly foreignBlobs: number;
}

/**
 * Copies an image, or all images of an index, from any source to a store. Manifests are copied verbatim, so that every
 * digest stays. Blobs that are there are not moved; manifests follow their blobs, indexes their manifests, and the name
 * comes last: a copy that fails leaves no name behind and changes none.
 *
 * The name is resolved once. What it is moved to while the copy runs is not mixed in.
 *
 * @param destinationReference A tag; for a layout also nothing, for an entry without a name. A digest is checked
 *   against what is copied.
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_OPTION_INVALID`,
 *   `ERR_REFERENCE_INVALID`, `ERR_LIMIT_EXCEEDED`, `ERR_UNSUPPORTED` (a destination that takes no uploads),
 *   `ERR_NO_SPACE`, as `fetchImage`, and what source and destination throw; or the signal's own reason
 */
export async function copyImage(
  source: ReadOnlyTarget,
  reference: string,
  destination: CopyDestination,
  destinationReference: string,
  options: CopyImageOptions = {},
): Promise<CopyResult> {
  const { signal, onProgress } = options;
  const jobs = checkJobs(options.jobs);
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  checkForeignLayers(options.foreignLayers);
  requireSource(source, reference);
  requireDestination(destination, destinationReference);
  throwIfAborted(signal);
  const call = { signal, onProgress };
  let left: readonly Descriptor[] = [];
  try {
    const reader = new DocumentReader(source, reference, { ...call, maxBytes });
    const { root, target } = await readRoot(source, reference, reader, options);
    const { digest, mediaType } = root.descriptor;
    if (isWhole(options)) {
      report(onProgress, { type: 'image:resolved', reference: reader.name, digest, mediaType });
    }
    const name = checkName(destinationReference, root.descriptor, reader.name);
    const graph = await copyGraph(root, reader, jobs);
    const foreignLayers = options.foreignLayers ?? (isRegistry(destination) ? false : 'available');
    const wanted = graph.blobs.filter((blob) => foreignLayers !== false || !isForeignLayer(blob));
    left = graph.blobs.filter((blob) => foreignLayers === false && isForeignLayer(blob));
    // The largest first: one that is begun last would be on its way alone.
    const blobs = wanted.sort((a, b) => b.size - a.size);
    report(onProgress, {
      type: 'blobs:planned',
      blobs: blobs.length,
      bytes: blobs.reduce((sum, { size }) => sum + size, 0),
    });
    const mountFrom = options.mountFrom ?? commonRegistry(source, destination);
    const became = await mapConcurrently(
      blobs,
      (blob, blobSignal) => {
        const copied = copyBlob(source, destination, blob, { signal: blobSignal, onProgress, mountFrom });
        return foreignLayers === 'available' && isForeignLayer(blob)
          ? copied.catch((error: unknown) => leaveOut(blob, error, { signal: blobSignal, onProgress }))
          : copied;
      },
      { concurrency: jobs, signal },
    );
    const pusher = name !== undefined && canPushTagged(destination) ? destination : undefined;
    for (const level of graph.levels) {
      await mapConcurrently(
        pusher === undefined ? level : level.filter((document) => document.descriptor.digest !== digest),
        (document, levelSignal) => push(destination, document, { signal: levelSignal, onProgress }),
        {
          concurrency: jobs,
          signal,
        },
      );
    }
    const descriptor = named(root.descriptor);
    throwIfAborted(signal);
    if (name !== undefined && pusher !== undefined) await pushNamed(pusher, root, name, call);
    else if (name !== undefined) await nameRoot(destination, root, name, call);
    const count = (what: CopiedBlob | 'left'): number => became.filter((one) => one === what).length;
    return {
      descriptor,
      source: named(target),
      manifests: graph.levels.reduce((sum, level) => sum + level.length, 0),
      copiedBlobs: count('copied'),
      copiedBytes: blobs.reduce((sum, { size }, at) => (became[at] === 'copied' ? sum + size : sum), 0),
      presentBlobs: count('present'),
      mountedBlobs: count('mounted'),
      foreignBlobs: graph.blobs.length - blobs.length + count('left'),
    };
  } catch (error) {
    const advised = adviseForeign(error, left);
    throw imageFailure(advised, imageName(source, reference), signal, 'the source or the destination');
  }
}

/** Reads what is to be copied: the whole target, or the manifest for one platform. */
export async function readRoot(
  source: ReadOnlyTarget,
  reference: string,
  reader: DocumentReader,
  options: CopyImageOptions,
): Promise<{ readonly root: ReadDocument; readonly target: Descriptor }> {
  if (isWhole(options)) {
    const root = await reader.target();
    return { root, target: root.descriptor };
  }
  const { signal, onProgress, platform, maxManifestBytes } = options;
  const image = await fetchImage(source, reference, { signal, onProgress, platform, maxManifestBytes });
  return { root: { kind: 'manifest', ...image.manifest }, target: image.target };
}

async function push(destination: CopyDestination, document: CopiedDocument, call: CallOptions): Promise<void> {
  const content = Readable.from([document.bytes], { objectMode: false });
  await untilEnded(destination.push(bareDescriptor(document.descriptor), content, call), call.signal);
}

/** The root under its name alone: some registries take nothing under a digest, others make that a tag. */
async function pushNamed(destination: TagPusher, root: CopiedDocument, name: string, call: CallOptions): Promise<void> {
  const content = Readable.from([root.bytes], { objectMode: false });
  await untilEnded(destination.pushTagged(bareDescriptor(root.descriptor), content, name, call), call.signal);
}

function canPushTagged(destination: object): destination is TagPusher {
  return typeof (destination as Partial<TagPusher>).pushTagged === 'function';
}

/** Gives the name. Whoever deletes the same image from a layout meanwhile takes the manifest between its push and this. */
async function nameRoot(
  destination: CopyDestination,
  root: CopiedDocument,
  name: string,
  call: CallOptions,
): Promise<void> {
  const tag = (): Promise<void> => untilEnded(destination.tag(named(root.descriptor), name, call), call.signal);
  try {
    await tag();
  } catch (error) {
    const isGone = error instanceof RootfsError && error.code === 'ERR_NOT_FOUND' && !isRegistry(destination);
    if (!isGone) throw error;
    await push(destination, root, call);
    await tag();
  }
}

/** A root as a name's target: the platform and the annotations belong to the entry it was read from. */
export function named({ mediaType, digest, size, artifactType }: Descriptor): Descriptor {
  return { mediaType, digest, size, ...(artifactType === undefined ? {} : { artifactType }) };
}

/** The name to give at the end; none where the destination is asked for by its digest. */
function checkName(reference: string, root: Descriptor, source: string): string | undefined {
  const text = reference.startsWith('@') ? reference.slice(1) : reference;
  if (!isVerifiable(text)) return reference;
  if (text === root.digest) return undefined;
  throw new RootfsError(
    'ERR_DIGEST_MISMATCH',
    `${source}: it is ${root.digest}, but the destination is to be ${text}; leave the digest out of the destination`,
    { detail: { expected: text, found: root.digest } },
  );
}

/** The source's repository, where the destination is another one of the same registry. */
function commonRegistry(source: object, destination: object): string | undefined {
  const from = source as { readonly registry?: unknown; readonly repository?: unknown };
  const to = destination as { readonly registry?: unknown; readonly repository?: unknown };
  if (typeof from.repository !== 'string' || from.registry === undefined) return undefined;
  return from.registry === to.registry && from.repository !== to.repository ? from.repository : undefined;
}

/** Whether a store is a repository of a registry: whoever pulls from there is somebody else. */
function isRegistry(destination: object): boolean {
  return typeof (destination as { readonly registry?: unknown }).registry === 'string';
}

/** Failures of those who have a foreign layer, and of nobody else. */
const UNAVAILABLE: ReadonlySet<string> = new Set([
  'ERR_NOT_FOUND',
  'ERR_UNAUTHORIZED',
  'ERR_DENIED',
  'ERR_RATE_LIMITED',
  'ERR_REGISTRY',
  'ERR_NETWORK',
  'ERR_TIMEOUT',
  'ERR_TLS',
]);

/** An image is of use without a layer that nobody gives us. Wrong bytes, a full disk and an abort are failures still. */
function leaveOut(blob: Descriptor, error: unknown, { signal, onProgress }: CallOptions): 'left' {
  throwIfAborted(signal);
  if (!(error instanceof RootfsError) || !UNAVAILABLE.has(error.code)) throw error;
  warn(onProgress, `left out the foreign layer ${blob.digest}: ${error.message}`);
  return 'left';
}

function isWhole({ platform }: CopyImageOptions): boolean {
  return platform === undefined || platform === 'all';
}

/** Checks what is to become of foreign layers. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkForeignLayers(foreignLayers: CopyImageOptions['foreignLayers']): void {
  oneOf('foreignLayers', foreignLayers ?? 'available', [true, false, 'available']);
}

/** Checks how many blobs may be on their way at once. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkJobs(jobs = 6): number {
  return wholeNumber('jobs', jobs, 1, 64);
}
