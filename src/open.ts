/**
 * From text to a source: the composition root, where registries, folders and archives are put together.
 *
 * It knows every kind of source by its prefix and opens it with its defaults; it holds no logic of its own. What a
 * source needs is loaded only when that kind is asked for.
 */
import { lstat, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReadOnlyTarget } from './content/content.js';
import type { AskUrls, LocalSource } from './content/local-source.js';
import { RootfsError } from './errors.js';
import type { CopyDestination, CopyImageOptions, CopyResult } from './image/copy-image.js';
import type { WriteArchiveOptions } from './image/write-archive.js';
import {
  placeAdvice,
  refuseNoImage,
  refuseStream,
  splitDestination,
  splitPath,
  splitTransport,
  type Transport,
} from './places.js';
import type { ForeignFetcher } from './registry/fetch-foreign.js';
import type { OpenRegistryOptions } from './registry/open-repository.js';
import { formatReference, parseReference } from './spec/reference.js';

/** How a source or a destination is opened. What concerns a registry is ignored for a local one. */
export interface OpenOptions extends OpenRegistryOptions {
  /**
   * Whether layers that a local source does not have, and whose `urls` the image gives (`foreign` ones), are fetched
   * from there. Default true.
   */
  readonly askUrls?: boolean | undefined;
}

/** An opened source: where to read, and the reference to ask it for. The caller closes it. */
export interface OpenedSource {
  readonly source: ReadOnlyTarget;
  /** In the source's own dialect: what `fetchImage` and `resolve` take. */
  readonly reference: string;
  /** What was asked for, written out in full, for people. */
  readonly name: string;
  /** The kind of source: the prefix, without its colon. */
  readonly transport: Transport;
  close(): Promise<void>;
}

async function openRegistry(text: string, options: OpenOptions): Promise<OpenedSource> {
  refuseNoImage(text);
  const { openRepository } = await import('./registry/open-repository.js');
  const { repository, reference } = await openRepository(text, options);
  return {
    source: repository,
    reference: reference.digest ?? reference.tag ?? 'latest',
    name: formatReference(reference),
    transport: 'docker',
    close: async () => {},
  };
}

/**
 * Opens the source that `text` names: `docker://NAME` or a bare registry reference, `oci:DIR[:TAG]`, `oci:DIR@DIGEST`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker-daemon:REF`, `dir:DIR`.
 *
 * An archive's `FILE` may be `-`, standard input. A local source is opened and its shape is checked (an engine's image
 * is copied into a temporary file, which `close` removes); a registry is not asked anything yet.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID`, `ERR_ARCHIVE_INVALID`, and what
 *   the sources' own `open` throws
 */
export async function openSource(text: string, options: OpenOptions = {}): Promise<OpenedSource> {
  if (typeof text !== 'string') {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `reference: expected text, as in alpine or oci:DIR, found ${typeof text}`,
    );
  }
  const { transport, rest } = splitTransport(text);
  if (transport === 'docker') return openRegistry(rest, options);
  if (rest === '') {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `${text}: nothing stands after ${transport}:; ${placeAdvice(transport)}`,
    );
  }
  // An engine's image has no path; everything behind the prefix is its name.
  const { path, reference } = transport === 'docker-daemon' ? { path: rest } : await splitPath(rest);
  refuseStream(transport, path, 'come from standard input');
  const { source, close } = await openLocal(transport, path, options);
  if (options.askUrls !== false) source.askUrls = foreignLayers(source.place, options);
  return { source, reference: reference ?? '', name: text, transport, close };
}

interface OpenedLocal {
  readonly source: LocalSource & ReadOnlyTarget;
  close(): Promise<void>;
}

async function openLocal(
  transport: Exclude<Transport, 'docker'>,
  path: string,
  { signal }: OpenOptions,
): Promise<OpenedLocal> {
  const nothing = async (): Promise<void> => {};
  const closing = (source: OpenedLocal['source'] & { close(): Promise<void> }): OpenedLocal => ({
    source,
    close: () => source.close(),
  });
  switch (transport) {
    case 'oci':
      return { source: await (await import('./content/oci-layout.js')).OciLayout.open(path), close: nothing };
    case 'dir':
      return { source: await (await import('./content/dir-layout.js')).DirLayout.open(path), close: nothing };
    case 'oci-archive':
      return closing(await (await import('./content/oci-archive.js')).OciArchive.open(path, { signal }));
    case 'docker-archive':
      return closing(await (await import('./content/docker-archive.js')).DockerArchive.open(path, { signal }));
    case 'docker-daemon':
      return closing(await (await import('./content/docker-daemon.js')).openDockerDaemon(path, { signal }));
  }
}

/** Layers that are elsewhere, for a local source; what that takes is loaded when the first of them is asked for. */
function foreignLayers(place: string, options: OpenOptions): AskUrls {
  let fetcher: Promise<ForeignFetcher> | undefined;
  return async (target, absent, fetchOptions) => {
    fetcher ??= import('./registry/fetch-foreign.js').then((module) => module.createForeignFetcher(place, options));
    return (await fetcher).fetch(target, absent, fetchOptions);
  };
}

/** An image that was copied with its tag. */
export interface CopiedTag extends CopyResult {
  readonly tag: string;
  /** What it is called where it was copied to, written out in full. */
  readonly destination: string;
}

/** An opened destination: a place, and the name that an image gets there. The caller closes it. */
export interface OpenedDestination {
  /** What was asked for, written out in full, for people. */
  readonly name: string;
  readonly transport: Transport;
  /** Copies an image here; see `copyImage` and `writeArchive`. */
  copyFrom(
    source: ReadOnlyTarget,
    reference: string,
    options?: CopyImageOptions & WriteArchiveOptions,
  ): Promise<CopyResult>;
  /** Copies what all tags of a source stand for; each keeps its tag. Archives take all of them in one file. */
  copyAllFrom(source: ReadOnlyTarget, options?: CopyImageOptions & WriteArchiveOptions): Promise<readonly CopiedTag[]>;
  /** A folder that was made for a copy that failed before it brought anything is removed. */
  close(): Promise<void>;
}

/**
 * Opens the destination that `text` names: `docker://NAME[:TAG]` or a bare registry reference, `oci:DIR[:TAG]`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `dir:DIR`, `docker-daemon:NAME[:TAG]`.
 *
 * A layout's folder is made where there is none; a registry is not asked anything yet. An archive's `FILE` may be `-`,
 * standard output; one that ends in `.gz` or `.tgz` is compressed. Archives and `dir:` are made anew.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_LAYOUT_INVALID`,
 *   `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`
 */
export async function openDestination(text: string, options: OpenOptions = {}): Promise<OpenedDestination> {
  const { transport, rest } = splitTransport(text);
  const { copyImage } = await import('./image/copy-image.js');
  if (transport === 'docker') {
    refuseNoImage(rest);
    const { openRepository } = await import('./registry/open-repository.js');
    const { repository, reference } = await openRepository(rest, options);
    if (reference.tag !== undefined && reference.digest !== undefined) {
      throw new RootfsError(
        'ERR_REFERENCE_INVALID',
        `${text}: a destination has a tag or a digest, not both; leave one out`,
        { detail: { reference: text } },
      );
    }
    return {
      name: formatReference(reference),
      transport,
      copyFrom: (source, from, copyOptions) =>
        copyImage(source, from, repository, reference.digest ?? reference.tag ?? 'latest', copyOptions),
      copyAllFrom: (source, copyOptions) =>
        copyTags(source, repository, (tag) => formatReference({ ...reference, tag }), copyOptions),
      close: async () => {},
    };
  }
  if (transport === 'docker-daemon') return openEngine(rest, options);
  const { path, reference } = await splitDestination(transport, rest);
  if (transport !== 'oci') {
    const { writeArchive } = await import('./image/write-archive.js');
    return {
      name: text,
      transport,
      copyFrom: (source, from, copyOptions) =>
        writeArchive(source, [{ reference: from, name: reference }], { form: transport, path }, copyOptions),
      copyAllFrom: async (source, copyOptions = {}) => {
        const { allTags } = await import('./image/pull.js');
        const wanted = await allTags(source, copyOptions);
        const options = { ...copyOptions, skipUnfit: transport === 'docker-archive' };
        const result = await writeArchive(source, wanted, { form: transport, path }, options);
        return [{ tag: '', destination: text, ...result }];
      },
      close: async () => {},
    };
  }
  const hadFolder = await isThere(path);
  const hadLayout = await isThere(join(path, 'oci-layout'));
  const { OciLayout } = await import('./content/oci-layout.js');
  const layout = await OciLayout.open(path, { create: true });
  return {
    name: text,
    transport,
    copyFrom: (source, from, copyOptions) => copyImage(source, from, layout, reference, copyOptions),
    copyAllFrom: (source, copyOptions) => copyTags(source, layout, (tag) => `${text}:${tag}`, copyOptions),
    close: async () => {
      if (!hadLayout) await removeEmptyLayout(path);
      if (!hadFolder) await rmdir(path).catch(() => {});
    },
  };
}

/** An engine: it takes a docker-archive, which is gathered here first, so that nothing unverified is loaded. */
async function openEngine(name: string, { signal }: OpenOptions): Promise<OpenedDestination> {
  const text = `docker-daemon:${name}`;
  if (name === '') throw new RootfsError('ERR_REFERENCE_INVALID', `${text}: ${placeAdvice('docker-daemon')}`);
  const { digest, ...reference } = parseReference(name);
  if (digest !== undefined) {
    throw new RootfsError('ERR_REFERENCE_INVALID', `${text}: an engine gives digests itself; leave it out`, {
      detail: { reference: text },
    });
  }
  const { writeArchive } = await import('./image/write-archive.js');
  const { loadIntoEngine } = await import('./content/docker-load.js');
  const copyFrom = (
    source: ReadOnlyTarget,
    from: string,
    called: string,
    options: CopyImageOptions & WriteArchiveOptions = {},
  ): Promise<CopyResult> =>
    loadIntoEngine(
      text,
      (write) =>
        writeArchive(
          source,
          [{ reference: from, name: called }],
          { form: 'docker-archive', path: '-', gzip: false },
          { ...options, write },
        ),
      { signal: options.signal ?? signal },
    );
  return {
    name: text,
    transport: 'docker-daemon',
    copyFrom: (source, from, options) => copyFrom(source, from, name, options),
    copyAllFrom: async (source, options = {}) => {
      const copied: CopiedTag[] = [];
      for (const { tag, from } of await tagsOf(source, options)) {
        const called = formatReference({ ...reference, tag });
        copied.push({
          tag,
          destination: `docker-daemon:${called}`,
          ...(await copyFrom(source, from, called, options)),
        });
      }
      return copied;
    },
    close: async () => {},
  };
}

/** The tags of a source, and what it calls them: archives know images by their names in full, of any repository. */
async function tagsOf(
  source: ReadOnlyTarget,
  options: CopyImageOptions,
): Promise<readonly { readonly tag: string; readonly from: string }[]> {
  const { allTags } = await import('./image/pull.js');
  const byTag = new Map<string, string>();
  for (const { reference: from } of await allTags(source, options)) {
    const tag = /^\w[\w.-]{0,127}$/.test(from) ? from : (parseReference(from).tag ?? from);
    const other = byTag.get(tag);
    if (other !== undefined) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${other} and ${from} would both get the tag ${tag}; copy them one by one, or all into an archive`,
        { detail: { references: [other, from], tag } },
      );
    }
    byTag.set(tag, from);
  }
  return [...byTag].map(([tag, from]) => ({ tag, from }));
}

async function copyTags(
  source: ReadOnlyTarget,
  destination: CopyDestination,
  nameOf: (tag: string) => string,
  options: CopyImageOptions = {},
): Promise<readonly CopiedTag[]> {
  const { copyImage } = await import('./image/copy-image.js');
  const copied: CopiedTag[] = [];
  for (const { tag, from } of await tagsOf(source, options)) {
    copied.push({ tag, destination: nameOf(tag), ...(await copyImage(source, from, destination, tag, options)) });
  }
  return copied;
}

/** Removes a layout that holds no blob; one that holds something stays as it is. */
async function removeEmptyLayout(path: string): Promise<void> {
  for (const folder of ['blobs/sha256', 'blobs/sha512', 'blobs']) await rmdir(join(path, folder)).catch(() => {});
  if (await isThere(join(path, 'blobs'))) return;
  for (const file of ['index.json', 'oci-layout']) await rm(join(path, file), { force: true });
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
