/** From text to a destination: the other half of the composition root. */
import type { ReadOnlyTarget } from './content/content.js';
import { canonicalName } from './content/image-names.js';
import { RootfsError } from './errors.js';
import type { CopyDestination, CopyImageOptions, CopyResult } from './image/copy-image.js';
import { isUnfit } from './image/is-unfit.js';
import type { WantedImage, WriteArchiveOptions } from './image/write-archive.js';
import { throwIfAborted, untilAborted } from './io/abort.js';
import { closedBy } from './io/close-after.js';
import { warmFileSinks } from './io/file-sink-crew.js';
import type { OpenOptions } from './open.js';
import { placeAdvice, refuseNoImage, splitDestination, splitTransport, type Transport } from './places.js';
import { warn } from './progress.js';
import { formatReference, isTag, parseReference, refuseReserved, splitImage } from './spec/reference.js';

/** An image that was copied with its tag. */
export interface CopiedTag extends CopyResult {
  readonly tag: string;
  /** What the source calls it: its tag, or a name in full. Empty for an archive of all images. */
  readonly reference: string;
  /** What it is called where it was copied to, written out in full. */
  readonly destination: string;
}

/** An opened destination: a place, and the name that an image gets there. The caller closes it. */
export interface OpenedDestination extends AsyncDisposable {
  /** What was asked for, written out in full, for people. */
  readonly name: string;
  readonly transport: Transport;
  /**
   * Copies an image here; see `copyImage` and `writeArchive`.
   *
   * @param options `name`: what the image is called in a docker-archive whose place has no name for it, as `pull` takes
   *   it; by its digest alone it has none.
   */
  copyFrom(
    source: ReadOnlyTarget,
    reference: string,
    options?: CopyImageOptions & WriteArchiveOptions & { readonly name?: string | undefined },
  ): Promise<CopyResult>;
  /**
   * Copies what all tags of a source stand for; each keeps its tag. Archives take all of them in one file; with the
   * name of a repository behind it, a docker-archive has each as a tag of that.
   *
   * @throws RootfsError `ERR_NOT_FOUND` where nothing has a tag, `ERR_OPTION_INVALID` where two would get the same, and
   *   as `copyFrom`
   */
  copyAllFrom(source: ReadOnlyTarget, options?: CopyImageOptions & WriteArchiveOptions): Promise<readonly CopiedTag[]>;
  /** The folders that were made for a copy that failed before it brought anything are removed. */
  close(): Promise<void>;
}

/**
 * Opens the destination that `text` names: `docker://NAME[:TAG]` or a bare registry reference, `oci:DIR[:TAG]`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `dir:DIR`, `docker-daemon:NAME[:TAG]`.
 *
 * A layout's folder is made where there is none; a registry is not asked anything yet. An archive's `FILE` may be `-`,
 * standard output; one that ends in `.gz` or `.tgz` is compressed. Archives and `dir:` are made anew.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_LAYOUT_INVALID`, `ERR_MANIFEST_INVALID`,
 *   `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function openDestination(text: string, options: OpenOptions = {}): Promise<OpenedDestination> {
  const { transport, rest } = splitTransport(text);
  throwIfAborted(options.signal);
  const { copyImage } = await import('./image/copy-image.js');
  if (transport === 'docker') {
    refuseNoImage(rest);
    const { openRepository } = await import('./registry/open-repository.js');
    const { repository, reference } = await openRepository(rest, { ...options, mirrors: false });
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
      ...closedBy(async () => {}),
    };
  }
  if (transport === 'docker-daemon') return openEngine(rest, options);
  const { path, reference } = await splitDestination(transport, rest);
  if (transport !== 'oci') {
    const { writeArchive } = await import('./image/write-archive.js');
    return {
      name: text,
      transport,
      copyFrom: (source, from, { name, ...copyOptions } = {}) => {
        const called = reference === '' && transport === 'docker-archive' ? name : reference;
        return writeArchive(source, [{ reference: from, name: called }], { form: transport, path }, copyOptions);
      },
      copyAllFrom: async (source, copyOptions = {}) => {
        const wanted = await archivedTags(source, transport, reference, copyOptions);
        const options = { ...copyOptions, skipUnfit: transport === 'docker-archive' };
        const result = await writeArchive(source, wanted, { form: transport, path }, options);
        return [{ tag: '', reference: '', destination: text, ...result }];
      },
      ...closedBy(async () => {}),
    };
  }
  const { openLayoutForCopy } = await import('./content/layout-for-copy.js');
  const { layout, close } = await openLayoutForCopy(path);
  return {
    name: text,
    transport,
    copyFrom: (source, from, copyOptions) => {
      // Only registries have it: what they bring is hashed and written by workers.
      if ('fetchReference' in source) warmFileSinks();
      return copyImage(source, from, layout, reference, copyOptions);
    },
    copyAllFrom: async (source, copyOptions) => {
      refuseOneName(reference);
      return copyTags(source, layout, (tag) => `${text}:${tag}`, copyOptions, true);
    },
    ...closedBy(close),
  };
}

/** An engine: it takes a docker-archive, which is gathered here first, so that nothing unverified is loaded. */
async function openEngine(name: string, { signal, timeoutMs }: OpenOptions): Promise<OpenedDestination> {
  const text = `docker-daemon:${name}`;
  if (name === '') throw new RootfsError('ERR_REFERENCE_INVALID', `${text}: ${placeAdvice('docker-daemon')}`);
  const { digest, ...reference } = parseReference(name);
  refuseReserved(reference, text);
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
      { signal: options.signal ?? signal, timeoutMs },
    );
  return {
    name: text,
    transport: 'docker-daemon',
    copyFrom: (source, from, options) => copyFrom(source, from, name, options),
    copyAllFrom: async (source, options = {}) => {
      return copyEach(source, options, true, async (tag, from) => {
        const called = formatReference({ ...reference, tag });
        return {
          tag,
          reference: from,
          destination: `docker-daemon:${called}`,
          ...(await copyFrom(source, from, called, options)),
        };
      });
    },
    ...closedBy(async () => {}),
  };
}

/** @throws RootfsError `ERR_OPTION_INVALID`: a name for all images where each keeps the one that it has */
function refuseOneName(name: string): void {
  if (name === '') return;
  throw new RootfsError('ERR_OPTION_INVALID', `${name}: one name for all images; leave it out, each keeps its own`, {
    detail: { reference: name },
  });
}

/** All images of a source for an archive; where one name is given for them, each keeps its tag behind it. */
async function archivedTags(
  source: ReadOnlyTarget,
  form: Transport,
  name: string,
  options: CopyImageOptions,
): Promise<readonly WantedImage[]> {
  const { allTags } = await import('./image/pull.js');
  if (name === '') return allTags(source, options);
  if (form !== 'docker-archive') refuseOneName(name);
  const { tag: one, digest } = splitImage(name);
  if (one !== undefined || digest !== undefined) refuseOneName(name);
  const called = parseReference(name);
  const tags = await tagsOf(source, options);
  return tags.map(({ tag, from }) => ({ reference: from, name: formatReference({ ...called, tag }), listed: true }));
}

/**
 * The tags of a source, and what it calls them: archives know images by their names in full, of any repository.
 *
 * @param anyName Whether what is no name of an image by Docker's grammar is kept as it is: a layout takes it.
 */
async function tagsOf(
  source: ReadOnlyTarget,
  options: CopyImageOptions,
  anyName = false,
): Promise<readonly { readonly tag: string; readonly from: string }[]> {
  const { allTags } = await import('./image/pull.js');
  const byTag = new Map<string, string>();
  for (const { reference: from } of await allTags(source, options)) {
    const isNone = anyName && canonicalName(from) === undefined;
    const tag = isTag(from) || isNone ? from : (parseReference(from).tag ?? from);
    const other = byTag.get(tag);
    if (other !== undefined) {
      // One image that is called so at two registries is no conflict.
      const resolving = Promise.all([other, from].map((name) => source.resolve(name, options)));
      const [first, second] = await untilAborted(resolving, options.signal);
      if (first?.digest === second?.digest) continue;
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
  anyName = false,
): Promise<readonly CopiedTag[]> {
  const { copyTag } = await import('./image/copy-tag.js');
  const { platform } = options;
  const copy = async (tag: string, from: string): Promise<CopiedTag> => ({
    tag,
    reference: from,
    destination: nameOf(tag),
    ...(await copyTag(source, from, destination, tag, options)),
  });
  return copyEach(source, options, platform !== undefined && platform !== 'all', copy, anyName);
}

/** How many names of a list a message holds. */
const TOLD_NAMES = 20;

/**
 * Copies tag by tag. A failure tells of what was copied before it.
 *
 * @param leavesOut Whether what is no image for the platform is left out with a warning, as in an archive; where nothing
 *   else is there, it is a failure.
 */
async function copyEach(
  source: ReadOnlyTarget,
  options: CopyImageOptions,
  leavesOut: boolean,
  copy: (tag: string, from: string) => Promise<CopiedTag>,
  anyName = false,
): Promise<readonly CopiedTag[]> {
  const copied: CopiedTag[] = [];
  let unfit: RootfsError | undefined;
  for (const { tag, from } of await tagsOf(source, options, anyName)) {
    try {
      copied.push(await copy(tag, from));
    } catch (error) {
      if (leavesOut && isUnfit(error)) {
        unfit = error;
        warn(options.onProgress, `left out: ${error.message}`);
        continue;
      }
      const names = copied.slice(0, TOLD_NAMES).map(({ destination }) => destination);
      const more = copied.length > names.length ? ` and ${copied.length - names.length} more` : '';
      if (names.length > 0) warn(options.onProgress, `copied before this failed: ${names.join(', ')}${more}`);
      throw error;
    }
  }
  if (copied.length === 0 && unfit !== undefined) throw unfit;
  return copied;
}
