/**
 * From text to a source: the composition root, where registries, folders and archives are put together; destinations
 * stand in `open-destination.ts`.
 *
 * It knows every kind of source by its prefix and opens it with its defaults; it holds no logic of its own. What a
 * source needs is loaded only when that kind is asked for.
 */
import type { ReadOnlyTarget } from './content/content.js';
import type { AskUrls, LocalSource } from './content/local-source.js';
import { RootfsError } from './errors.js';
import { throwIfAborted } from './io/abort.js';
import { closedBy } from './io/close-after.js';
import { placeAdvice, refuseNoImage, refuseStream, splitPath, splitTransport, type Transport } from './places.js';
import type { ForeignFetcher } from './registry/fetch-foreign.js';
import type { OpenRegistryOptions } from './registry/open-repository.js';
import { formatReference } from './spec/reference.js';

/**
 * How a source or a destination is opened. What concerns a registry is ignored for a local one, but for `timeoutMs`,
 * which is the longest silence of a Docker Engine too.
 */
export interface OpenOptions extends OpenRegistryOptions {
  /**
   * Whether layers that a local source does not have, and whose `urls` the image gives (`foreign` ones), are fetched
   * from there. Default true.
   */
  readonly askUrls?: boolean | undefined;
  /**
   * Whether all tags are wanted of a source: `docker-daemon:NAME` stands for all tags of `NAME` then, as far as the
   * engine gives them, not for `NAME:latest`. Default false.
   */
  readonly allTags?: boolean | undefined;
}

/** An opened source: where to read, and the reference to ask it for. The caller closes it. */
export interface OpenedSource extends AsyncDisposable {
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
    ...closedBy(async () => {}),
  };
}

/**
 * Opens the source that `text` names: `docker://NAME` or a bare registry reference, `oci:DIR[:TAG]`, `oci:DIR@DIGEST`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker-daemon:REF`, `dir:DIR`. Layouts and archives also take
 * `@0`, `@1`… for what has no name: the place in their list.
 *
 * An archive's `FILE` may be `-`, standard input. A local source is opened and its shape is checked (an engine's image
 * is copied into a temporary file, which `close` removes); a registry is not asked anything yet.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID`, `ERR_ARCHIVE_INVALID`, and what
 *   the sources' own `open` throws
 */
export async function openSource(text: string, options: OpenOptions = {}): Promise<OpenedSource> {
  const { transport, rest } = splitTransport(text);
  throwIfAborted(options.signal);
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
  return { source, reference: reference ?? '', name: text, transport, ...closedBy(close) };
}

interface OpenedLocal {
  readonly source: LocalSource & ReadOnlyTarget;
  close(): Promise<void>;
}

async function openLocal(
  transport: Exclude<Transport, 'docker'>,
  path: string,
  { signal, timeoutMs, allTags }: OpenOptions,
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
      return closing(
        await (await import('./content/docker-daemon.js')).openDockerDaemon(path, { signal, timeoutMs, allTags }),
      );
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
