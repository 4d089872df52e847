/** Images as one file, or as one folder: what `docker load`, `podman load` and the OCI tools read. */

import { createWriteStream } from 'node:fs';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadOnlyTarget } from '../content/content.js';
import { fillFolder } from '../content/fill-folder.js';
import { type Member, memberFolders } from '../content/member.js';
import { openOutputStream } from '../content/open-output-stream.js';
import { outputPlace, withWorkingFolder, writeBeside } from '../content/output-place.js';
import { type WriteMembersOptions, writeFolder, writeTar } from '../content/write-members.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { discardOnError } from '../io/discard.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { oneOf } from '../io/one-of.js';
import { type ProgressListener, report, warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { layerCompression } from '../spec/media-types.js';
import { packFolder } from '../tar/pack-folder.js';
import { type ArchiveForm, type ArchiveName, type ArchiveRoot, archiveMembers } from './archive-members.js';
import { archiveNames } from './archive-names.js';
import { copyGraph } from './copy-graph.js';
import { type CopyImageOptions, type CopyResult, checkJobs, named } from './copy-image.js';
import { dirMembers } from './dir-members.js';
import { DocumentReader } from './document-reader.js';
import { fetchImage } from './fetch-image.js';
import type { Image } from './image.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { isUnfit } from './is-unfit.js';
import { requireSource } from './require-source.js';

/** Where images are written to. */
export interface ArchivePlace {
  readonly form: ArchiveForm;
  /** A file (for `dir` a new folder); `-` is standard output. */
  readonly path: string;
  /** Whether the file is compressed with gzip. Default: when its name ends in `.gz` or `.tgz`. */
  readonly gzip?: boolean | undefined;
}

/** An image that is wanted in an archive. */
export interface WantedImage {
  readonly reference: string;
  /** What it is called in the archive. Default: its name at its registry, or the full name that the source keeps. */
  readonly name?: string | undefined;
  /** The reference is a name that the source itself lists: a place on this machine hands it on too. Default false. */
  readonly listed?: boolean | undefined;
  /** The image, where it was read already, for the platform that is wanted. */
  readonly image?: Image | undefined;
}

/** Options of `writeArchive`. */
export interface WriteArchiveOptions extends Omit<CopyImageOptions, 'mountFrom' | 'foreignLayers'> {
  /** Whether the file is brought to disk before its name appears. Default `layer`: it is. */
  readonly fsync?: 'layer' | 'none' | undefined;
  /** Images that fit not (no image at all, none for the platform) are left out with a warning. Default false. */
  readonly skipUnfit?: boolean | undefined;
  /** Takes what goes to standard output. Default: the process's. */
  readonly write?: ((chunk: Uint8Array) => Promise<void>) | undefined;
}

/**
 * Writes images into one archive: their blobs as the source has them, verified, the same bytes for the same images
 * each time. The file appears under its name when it is whole, and replaces what was there; a failure leaves nothing.
 * A plain archive is written in one pass; what is compressed or goes to a pipe is gathered in a folder first, which is
 * gone afterwards. Layers that are compressed themselves are not compressed twice.
 *
 * A `docker-archive` holds images for one platform each; the other forms also take whole indexes (`platform: 'all'`).
 *
 * @returns what was written; `descriptor` and `source` of the first image
 * @throws RootfsError `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`, `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID` (a
 *   name that is none), `ERR_OPTION_INVALID`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, and as `fetchImage`; or the
 *   signal's own reason
 */
export async function writeArchive(
  source: ReadOnlyTarget,
  wanted: readonly WantedImage[],
  place: ArchivePlace,
  options: WriteArchiveOptions = {},
): Promise<CopyResult> {
  const { signal, onProgress } = options;
  const jobs = checkJobs(options.jobs);
  checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  oneOf('form', place.form, ['docker-archive', 'oci-archive', 'dir']);
  oneOf('fsync', options.fsync ?? 'layer', ['layer', 'none']);
  throwIfAborted(signal);
  const [first] = wanted;
  requireSource(source, first?.reference ?? '');
  const name = first === undefined ? 'the image' : imageName(source, first.reference);
  try {
    const roots = await findRoots(source, wanted, place.form, options);
    const [found] = roots;
    if (place.form === 'dir' && roots.length > 1) throw oneImage(place);
    const members = place.form === 'dir' ? dirMembers(found) : archiveMembers(roots);
    const { blobs, bytes } = planBlobs(members, onProgress);
    const write = { jobs, signal, onProgress };
    await writeMembers(source, members, place, options, write, gzipLevel(roots.flatMap(({ blobs }) => blobs)));
    return {
      descriptor: named(found.root.descriptor),
      source: named(found.source),
      manifests: new Set(roots.flatMap(({ documents }) => documents.map(({ descriptor }) => descriptor.digest))).size,
      copiedBlobs: blobs,
      copiedBytes: bytes,
      presentBlobs: 0,
      mountedBlobs: 0,
      foreignBlobs: 0,
    };
  } catch (error) {
    throw imageFailure(error, name, signal);
  }
}

/**
 * Reads what stands above the blobs of images that are wanted in an archive: at least one.
 *
 * @throws RootfsError as `writeArchive`
 */
export async function findRoots(
  source: ReadOnlyTarget,
  wanted: readonly WantedImage[],
  form: ArchiveForm,
  options: WriteArchiveOptions,
): Promise<readonly [FoundRoot, ...FoundRoot[]]> {
  const jobs = checkJobs(options.jobs);
  const roots: FoundRoot[] = [];
  for (const one of wanted) {
    try {
      addRoot(roots, await findRoot(source, one, form, options, jobs));
    } catch (error) {
      if (options.skipUnfit !== true || !isUnfit(error)) throw error;
      warn(options.onProgress, `left out: ${error.message}`);
    }
  }
  const [first, ...others] = roots;
  if (first !== undefined) return [first, ...others];
  throw new RootfsError('ERR_NOT_FOUND', `${imageName(source, '')}: there is no image to write`);
}

/** A root that was read. */
export interface FoundRoot extends ArchiveRoot {
  /** What the source's name points at. */
  readonly source: Descriptor;
}

async function findRoot(
  source: ReadOnlyTarget,
  { reference, name, listed, image: known }: WantedImage,
  form: ArchiveForm,
  options: WriteArchiveOptions,
  jobs: number,
): Promise<FoundRoot> {
  const { signal, onProgress, platform } = options;
  const maxBytes = options.maxManifestBytes ?? MAX_DOCUMENT_BYTES;
  const names = await archiveNames(form, source, reference, name, { listed, signal });
  const pick = async (
    from: string,
    wanted: CopyImageOptions['platform'],
    listener = onProgress,
  ): Promise<FoundRoot> => {
    const call = { signal, onProgress: listener, maxManifestBytes: maxBytes };
    const image = known ?? (await fetchImage(source, from, { ...call, platform: wanted }));
    const { descriptor, bytes, value } = image.manifest;
    const root = { descriptor, bytes };
    return { root, source: image.target, image, names, documents: [root], blobs: [value.config, ...value.layers] };
  };
  if (form === 'docker-archive') {
    if (platform !== 'all') return pick(reference, platform);
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      'platform: a docker-archive holds one platform; name it, or write an oci-archive',
      { detail: { option: 'platform' } },
    );
  }
  if (platform !== undefined && platform !== 'all') return pick(reference, platform);
  const reader = new DocumentReader(source, reference, { signal, onProgress, maxBytes });
  const target = await reader.target();
  const { digest, mediaType } = target.descriptor;
  report(onProgress, { type: 'image:resolved', reference: reader.name, digest, mediaType });
  if (target.kind === 'index' && platform === undefined) {
    // That a digest is itself is no news.
    const others: ProgressListener = (event) => event.type === 'image:resolved' || report(onProgress, event);
    return { ...(await pick(digest, undefined, others)), source: target.descriptor };
  }
  const graph = await copyGraph(target, reader, jobs);
  const documents = graph.levels.flat().reverse();
  return { root: target, source: target.descriptor, names, documents, blobs: graph.blobs };
}

/** Tells how much of the members has to be fetched. */
export function planBlobs(
  members: readonly Member[],
  onProgress: ProgressListener | undefined,
): { readonly blobs: number; readonly bytes: number } {
  let blobs = 0;
  let bytes = 0;
  for (const { content } of members) {
    if (content instanceof Uint8Array) continue;
    blobs += 1;
    bytes += content.size;
  }
  report(onProgress, { type: 'blobs:planned', blobs, bytes });
  return { blobs, bytes };
}

/** Images of one digest are one, with several names. */
function addRoot(roots: FoundRoot[], root: FoundRoot): void {
  const at = roots.findIndex((one) => one.root.descriptor.digest === root.root.descriptor.digest);
  const same = roots[at];
  if (same === undefined) roots.push(root);
  else {
    const known = new Set(same.names.map(({ refName, fullName }) => `${refName} ${fullName}`));
    const more = root.names.filter(({ refName, fullName }) => !known.has(`${refName} ${fullName}`));
    roots[at] = { ...same, names: [...same.names, ...more] as ArchiveName[] };
  }
}

async function writeMembers(
  source: ReadOnlyTarget,
  members: readonly Member[],
  place: ArchivePlace,
  options: WriteArchiveOptions,
  write: WriteMembersOptions,
  level: number,
): Promise<void> {
  const fsync = options.fsync !== 'none';
  if (place.form === 'dir') {
    const last = 'manifest.json';
    await fillFolder(place.path, { sync: fsync, last }, (folder) =>
      writeFolder(folder, members, source, { ...write, fsync }),
    );
    return;
  }
  const gzip = place.gzip ?? /\.t?gz$/.test(place.path);
  const names = [...memberFolders(members), ...members.map((member) => member.name)];
  const pack = (folder: string) => packFolder(folder, names, { gzipLevel: gzip ? level : undefined });
  const output = place.path === '-' ? undefined : await outputPlace(place.path);
  const abortable = options.signal === undefined ? {} : { signal: options.signal };
  if (output?.kind === 'file') {
    await writeBeside(output.path, 'file', fsync, async (temporary) => {
      if (!gzip) return writeTar(temporary, members, source, { ...write, fsync });
      return withWorkingFolder(dirname(output.path), async (folder) => {
        await writeFolder(folder, members, source, write);
        await pipeline(await pack(folder), createWriteStream(temporary, { flags: 'wx', flush: fsync }), abortable);
      });
    });
    return;
  }
  await withWorkingFolder(undefined, async (folder) => {
    await writeFolder(folder, members, source, write);
    const packed = await pack(folder);
    if (output !== undefined) {
      try {
        const open = (): Promise<Writable> => openOutputStream(output.path, options.signal);
        return await discardOnError(packed, async () => pipeline(packed, await open(), abortable));
      } catch (error) {
        throwIfAborted(options.signal);
        // Else it would be told of the source.
        throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, output.path);
      }
    }
    const take = options.write ?? writeStdout;
    for await (const chunk of packed) {
      throwIfAborted(options.signal);
      try {
        await untilAborted(take(chunk as Uint8Array), options.signal);
      } catch (error) {
        throw imageFailure(error, 'standard output', options.signal, 'write');
      }
    }
  });
}

function writeStdout(chunk: Uint8Array): Promise<void> {
  return new Promise((done, failed) => {
    process.stdout.write(chunk, (error) => (error ? failed(error) : done()));
  });
}

/**
 * Layers that are compressed gain nothing from being compressed again: then gzip only frames.
 *
 * @param blobs Those of all images, as `ArchiveRoot` has them.
 */
export function gzipLevel(blobs: readonly Descriptor[]): number {
  let plain = 0;
  let all = 0;
  for (const { size, mediaType } of blobs) {
    all += size;
    if (layerCompression(mediaType) === 'none') plain += size;
  }
  return plain * 2 > all ? 6 : 0;
}

function oneImage({ path }: ArchivePlace): RootfsError {
  return new RootfsError('ERR_OPTION_INVALID', `${path}: a folder of this form holds one image; write an archive`);
}
