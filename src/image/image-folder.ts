/** The stages of a pull, one by one: an image into a folder, the folder into an archive, the folder away. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { lstat, readdir, readFile, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { readImageList } from '../content/docker-image-list.js';
import { archivedBlob, memberFolders } from '../content/member.js';
import { openOutputStream } from '../content/open-output-stream.js';
import { outputPlace, withWorkingFolder, writeBeside } from '../content/output-place.js';
import { writeFolder } from '../content/write-members.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { discardOnError } from '../io/discard.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { removeTree } from '../io/remove-tree.js';
import type { Descriptor } from '../spec/descriptor.js';
import { parseManifestOrIndex } from '../spec/image-document.js';
import { parseIndex } from '../spec/image-index.js';
import { packFolder } from '../tar/pack-folder.js';
import { archiveMembers } from './archive-members.js';
import { checkJobs } from './copy-image.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import type { PullOptions } from './pull.js';
import { requireSource } from './require-source.js';
import { findRoots, gzipLevel, planBlobs } from './write-archive.js';

/** Options of `downloadImage`. */
export interface DownloadImageOptions extends PullOptions {
  /** The folder in which the new one is made: the system's temporary folder (`TMPDIR`) when absent. */
  readonly parent?: string | undefined;
}

/** The files that make a folder an image's. */
const HEAD = ['oci-layout', 'index.json', 'manifest.json'];

/**
 * Fetches an image for one platform into a new folder: its layers and config under `blobs/`, verified, with an OCI
 * layout's files and `manifest.json` beside. A failure leaves no folder.
 *
 * @returns the folder's absolute path; `removeImageDir` removes it
 * @throws RootfsError as `pull`
 */
export async function downloadImage(
  source: ReadOnlyTarget,
  reference: string,
  options: DownloadImageOptions = {},
): Promise<string> {
  requireSource(source, reference);
  const { signal, onProgress, name } = options;
  const jobs = checkJobs(options.jobs);
  throwIfAborted(signal);
  const parent = absolutePath(options.parent ?? tmpdir(), 'parent');
  try {
    const roots = await findRoots(source, [{ reference, name }], 'docker-archive', options);
    // It has this name when it is whole: what a killed process left half done is known as such, and swept.
    return await withWorkingFolder(parent, async (working) => {
      const members = archiveMembers(roots);
      planBlobs(members, onProgress);
      await writeFolder(working, members, source, { jobs, signal, onProgress });
      const folder = join(parent, `rootfs-kit-image-${randomBytes(6).toString('hex')}`);
      await rename(working, folder);
      return folder;
    });
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}

/**
 * Packs a folder that `downloadImage` made into an archive, which appears under its name when it is whole. The same
 * folder gives the same bytes, those that `pull` writes. Its blobs are not verified again.
 *
 * @param path A file whose name ends in `.tar` or `.tar.gz`.
 * @returns the archive's absolute path
 * @throws RootfsError `ERR_OPTION_INVALID` (another suffix), `ERR_LAYOUT_INVALID` (no such folder of an image),
 *   `ERR_MANIFEST_INVALID`, `ERR_NO_SPACE`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's own reason
 */
export async function packageImage(
  folder: string,
  path: string,
  options: Pick<CallOptions, 'signal'> = {},
): Promise<string> {
  if (!/[^/]\.tar(?:\.gz)?$/.test(path)) {
    throw new RootfsError('ERR_OPTION_INVALID', `${path}: the name of an archive ends in .tar or .tar.gz; name it so`, {
      detail: { path },
    });
  }
  const { signal } = options;
  throwIfAborted(signal);
  const output = await outputPlace(path);
  const from = absolutePath(folder, 'folder');
  const { names, images } = await imageFiles(from);
  const all = [...memberFolders(names.map((name) => ({ name, content: new Uint8Array() }))), ...names];
  try {
    const level = path.endsWith('.gz') ? gzipLevel(await blobsOf(from, images)) : undefined;
    const pack = async (open: () => Writable | Promise<Writable>): Promise<void> => {
      const packed = await packFolder(from, all, { gzipLevel: level });
      // A pipe may be waited for until an abort, and what is packed has begun to read.
      await discardOnError(packed, async () => pipeline(packed, await open(), signal === undefined ? {} : { signal }));
    };
    if (output.kind === 'stream') await pack(() => openOutputStream(output.path, signal));
    else {
      const create = (to: string) => (): Writable => createWriteStream(to, { flags: 'wx', flush: true });
      await writeBeside(output.path, 'file', true, (temporary) => pack(create(temporary)));
    }
    return output.path;
  } catch (error) {
    throwIfAborted(signal);
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, path);
  }
}

/**
 * Removes a folder that `downloadImage` made. One that is not there is success; one that holds something else stays.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID` (not an image's folder), `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function removeImageDir(folder: string): Promise<void> {
  const path = absolutePath(folder, 'folder');
  const found = await readdir(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw wrapSystemError(error, path);
  });
  if (found === undefined) return;
  const own = new Set([...HEAD, 'blobs']);
  if (found.some((name) => !own.has(name)) || !found.includes('manifest.json')) {
    throw new RootfsError('ERR_LAYOUT_INVALID', `${path}: not a folder that an image was downloaded to; it stays`, {
      detail: { path },
    });
  }
  try {
    removeTree(path);
  } catch (error) {
    throw wrapSystemError(error, path);
  }
}

/** The files of an image's folder in the order of an archive: manifests, config, layers; then what else is there. */
async function imageFiles(
  folder: string,
): Promise<{ readonly names: readonly string[]; readonly images: ReadonlySet<string> }> {
  const [, index, list] = await Promise.all(HEAD.map((name) => readSmall(folder, name)));
  const { manifests } = parseIndex(index as Buffer, { subject: `${folder}: index.json` });
  const images = new Set(manifests.map(({ digest }) => archivedBlob(digest)));
  const names = new Set([...HEAD, ...images]);
  for (const { config, layers } of readImageList(list as Buffer, folder)) {
    for (const name of [config, ...layers]) names.add(name);
  }
  for (const name of names) {
    const found = await lstat(join(folder, name)).catch(() => undefined);
    const inside = HEAD.includes(name) || /^blobs\/[a-z0-9]+\/[0-9a-f]+$/.test(name);
    if (!inside || found?.isFile() !== true) throw incomplete(folder, name);
  }
  return { names: [...names], images };
}

/** Configs and layers of the images whose manifests these files are. */
async function blobsOf(folder: string, images: ReadonlySet<string>): Promise<readonly Descriptor[]> {
  const blobs: Descriptor[] = [];
  for (const name of images) {
    const document = parseManifestOrIndex(await readSmall(folder, name), { subject: `${folder}: ${name}` });
    if (document.kind === 'manifest') blobs.push(document.value.config, ...document.value.layers);
  }
  return blobs;
}

async function readSmall(folder: string, name: string): Promise<Buffer> {
  const path = join(folder, name);
  const found = await lstat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size > MAX_DOCUMENT_BYTES) throw incomplete(folder, name);
  return readFile(path).catch((error: unknown) => {
    throw wrapSystemError(error, path);
  });
}

function incomplete(folder: string, name: string): RootfsError {
  return new RootfsError(
    'ERR_LAYOUT_INVALID',
    `${folder}: ${name} is missing or no regular file; download the image again`,
    { detail: { folder, name } },
  );
}
