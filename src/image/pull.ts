/** `pull`: an image as an archive that `docker load`, `podman load` and skopeo take. */
import { stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { ReadOnlyTarget, TagLister } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { eachUntilAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { isDigest } from '../spec/digest.js';
import { hostPlatform, normalizePlatform, type Platform, parsePlatform } from '../spec/platform.js';
import { parseReference } from '../spec/reference.js';
import { keptReference } from './archive-names.js';
import type { CopyResult } from './copy-image.js';
import { fetchImage } from './fetch-image.js';
import { imageName } from './image-name.js';
import { requireSource } from './require-source.js';
import { type WantedImage, type WriteArchiveOptions, writeArchive } from './write-archive.js';

/** Options of `pull`. */
export interface PullOptions extends WriteArchiveOptions {
  /**
   * What the image is called in the archive, as in `docker tag`. When absent: its name at its registry, or the full name
   * that an archive or a layout keeps.
   */
  readonly name?: string | undefined;
}

/** What was pulled. */
export interface PullResult extends CopyResult {
  /** Where the archive is: an absolute path, or `-`. */
  readonly path: string;
}

/**
 * Writes an image for one platform into an archive with `manifest.json` for `docker load` and an OCI layout beside it:
 * layers in their order, blobs as the source has them, the same bytes each time. See `writeArchive`.
 *
 * @param path A file whose name ends in `.tar` or `.tar.gz`; a folder, for a file named
 *   `<name>_<tag>_<arch>_<os>.tar.gz` in it; `-` for standard output. Default: the working folder.
 * @throws RootfsError `ERR_OPTION_INVALID` (another suffix, no source), and as `writeArchive`
 */
export async function pull(
  source: ReadOnlyTarget,
  reference: string,
  path = '.',
  options: PullOptions = {},
): Promise<PullResult> {
  requireSource(source, reference);
  const place = await archivePath(path);
  if ('file' in place) return write(source, [{ reference, name: options.name }], place.file, options);
  const { signal, onProgress, platform, maxManifestBytes } = options;
  const image = await fetchImage(source, reference, { signal, onProgress, platform, maxManifestBytes });
  const { name } = options;
  const called = name === undefined ? await keptReference(source, reference, signal) : parseReference(name);
  const tag = called?.tag ?? shortTag(called?.digest ?? reference);
  const file = join(place.folder, archiveFileName(called ?? source, tag, image.platform));
  return write(source, [{ reference, name, image }], file, options);
}

/**
 * Writes the images of all tags into one archive, as `pull` does for one. Tags that hold no image, and those that have
 * none for the platform, are passed over with a warning.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` (a source that knows no tags), `ERR_NOT_FOUND` (nothing has one), and as `pull`
 */
export async function pullAllTags(
  source: ReadOnlyTarget & Partial<TagLister>,
  path = '.',
  options: Omit<PullOptions, 'name'> = {},
): Promise<PullResult> {
  const place = await archivePath(path);
  const tags = await allTags(source, options);
  if ('file' in place) return write(source, tags, place.file, { ...options, skipUnfit: true });
  const platform = typeof options.platform === 'string' ? parsePlatform(options.platform) : options.platform;
  const file = join(place.folder, archiveFileName(source, 'all', platform ?? hostPlatform()));
  return write(source, tags, file, { ...options, skipUnfit: true });
}

/**
 * The tags of a source, as images that are wanted of it.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` for a source that knows no tags, `ERR_NOT_FOUND` for one where nothing has one;
 *   what the source throws
 */
export async function allTags(
  source: ReadOnlyTarget & Partial<TagLister>,
  options: Pick<WriteArchiveOptions, 'signal' | 'onProgress'> = {},
): Promise<readonly WantedImage[]> {
  requireSource(source, '');
  if (source.tags === undefined) {
    throw new RootfsError('ERR_UNSUPPORTED', `${imageName(source, '')}: it has no tags; name one image`);
  }
  const wanted: WantedImage[] = [];
  for await (const reference of eachUntilAborted(source.tags(options), options.signal)) {
    wanted.push({ reference, listed: true });
  }
  if (wanted.length > 0) return wanted;
  throw new RootfsError('ERR_NOT_FOUND', `${imageName(source, '')}: nothing has a tag here; name one image`);
}

async function write(
  source: ReadOnlyTarget,
  wanted: readonly WantedImage[],
  path: string,
  options: WriteArchiveOptions,
): Promise<PullResult> {
  const result = await writeArchive(source, wanted, { form: 'docker-archive', path }, options);
  return { ...result, path };
}

/** The last part of a reference, short. */
function shortTag(reference: string): string {
  const tag = reference === '' ? 'latest' : reference.slice(reference.lastIndexOf(':') + 1);
  return isDigest(reference) ? tag.slice(0, 12) : tag;
}

/** What a path means: a file of a known suffix, or the folder that a file of the usual name goes into. */
async function archivePath(path: string): Promise<{ readonly file: string } | { readonly folder: string }> {
  if (path === '-') return { file: path };
  const absolute = absolutePath(path, 'path');
  const found = await stat(absolute).catch(() => undefined);
  if (found?.isDirectory() === true) return { folder: absolute };
  if (path.endsWith(sep)) {
    throw new RootfsError('ERR_NOT_FOUND', `${path}: there is no such folder; make it first`, { detail: { path } });
  }
  if (/[^/]\.tar(?:\.gz)?$/.test(absolute)) return { file: absolute };
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `${path}: the name of an archive ends in .tar or .tar.gz; name it so, or name a folder`,
    { detail: { path } },
  );
}

/** `<name>_<tag>_<arch>_<os>.tar.gz`; slashes in the name become underscores. @param source A repository, or a reference. */
export function archiveFileName(source: object, tag: string, platform: Platform): string {
  const { repository } = source as { readonly repository?: unknown };
  const name = typeof repository === 'string' ? repository.replace(/^library\//, '') : 'image';
  const { architecture, variant = '', os } = normalizePlatform(platform);
  const safe = (text: string): string => text.replace(/[^A-Za-z0-9._-]+/g, '_').replace(/^\.+/, '');
  return `${[name, tag, `${architecture}${variant}`, os].map(safe).join('_')}.tar.gz`;
}
