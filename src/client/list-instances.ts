/** Every image that a name of a source leads to: as a registry lists them, or gathered name by name. */
import type { Readable } from 'node:stream';
import type {
  CallOptions,
  EntryLister,
  FetchOptions,
  HeldEntry,
  ReadOnlyTarget,
  TagLister,
} from '../content/content.js';
import { RootfsError } from '../errors.js';
import { checkJobs } from '../image/copy-image.js';
import { fetchImage } from '../image/fetch-image.js';
import { type FetchedManifest, fetchManifest } from '../image/fetch-manifest.js';
import { throwIfAborted } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import { report } from '../progress.js';
import { compareInstances, type Instance } from '../registry/listed-instances.js';
import type { RegistryRepository } from '../registry/repository.js';
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';

/** Options of `listInstances`. */
export interface ListInstancesOptions extends CallOptions {
  /** Requests at once where instances have to be gathered, 1 to 64. Default 6. */
  readonly jobs?: number | undefined;
}

/** What instances are listed of: a repository, or a layout, an archive or any other source of images. */
export type InstanceSource = ReadOnlyTarget & Partial<EntryLister & TagLister & Pick<RegistryRepository, 'listing'>>;

/** A name, or `undefined` for an image without one, and what it points at. */
interface Found {
  readonly tag: string | undefined;
  readonly digest: Digest;
}

/**
 * Lists the images of a source by digest, in the order of `compareInstances`. Where a registry's own list tells size,
 * tags and times these are taken; else each tag is resolved, and size and time are read from manifest and config.
 * Manifests without a tag are known of layouts and archives, and of registries that list them. What a name leads to
 * and cannot be read as a manifest is left out, with a warning.
 *
 * @throws RegistryError, RootfsError as `RegistryRepository.tags` and `fetchManifest`, `ERR_OPTION_INVALID`; or the
 *   signal's own reason
 */
export async function listInstances(
  source: InstanceSource,
  options: ListInstancesOptions = {},
): Promise<ReadonlyMap<Digest, Instance>> {
  const jobs = checkJobs(options.jobs);
  const { signal, onProgress } = options;
  const call = { signal, onProgress };
  const listed = new Map<Digest, Instance>();
  const tags = new Set<string>();
  let told = false;
  for await (const page of source.listing?.(call) ?? []) {
    for (const tag of page.tags) tags.add(tag);
    for (const instance of page.instances ?? []) {
      told = true;
      listed.set(instance.digest, instance);
    }
  }
  if (!told) {
    const known = source.listing === undefined ? new KnownSource(source) : undefined;
    const found = known === undefined ? await resolved(source, tags, jobs, call) : await held(source, known, call);
    for (const one of await gather(known ?? source, found, jobs, call)) listed.set(one.digest, one);
  }
  return new Map([...listed.values()].sort(compareInstances).map((instance) => [instance.digest, instance]));
}

/** What the tags of a repository point at. */
async function resolved(
  source: InstanceSource,
  tags: Iterable<string>,
  concurrency: number,
  { signal, onProgress }: CallOptions,
): Promise<readonly Found[]> {
  const found = await mapConcurrently(
    [...tags],
    async (tag, siblings): Promise<Found | undefined> => {
      try {
        return { tag, digest: (await source.resolve(tag, { signal: siblings, onProgress })).digest };
      } catch (error) {
        // Listed, and deleted since.
        if (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return undefined;
        throw error;
      }
    },
    { concurrency, signal },
  );
  return found.filter((one) => one !== undefined);
}

/** What a local source holds, and `known` of it. */
async function held(source: InstanceSource, known: KnownSource, call: CallOptions): Promise<readonly Found[]> {
  const found: Found[] = [];
  for await (const { tag, descriptor } of source.entries?.(call) ?? entriesByName(source, call)) {
    known.know(descriptor);
    found.push({ tag, digest: descriptor.digest });
  }
  return found;
}

/** What the names of a source point at, or its one image where it has none. */
async function* entriesByName(source: InstanceSource, call: CallOptions): AsyncGenerator<HeldEntry, void, undefined> {
  if (source.tags === undefined) yield { descriptor: await source.resolve('', call) };
  else for await (const tag of source.tags(call)) yield { tag, descriptor: await source.resolve(tag, call) };
}

/** A source by descriptors that are known already: a layout would read its index anew for each of them. */
class KnownSource implements ReadOnlyTarget {
  readonly place: string;
  readonly #source: ReadOnlyTarget;
  readonly #known = new Map<string, Descriptor>();

  constructor(source: ReadOnlyTarget) {
    this.place = (source as { readonly place?: string }).place ?? '';
    this.#source = source;
  }

  know(descriptor: Descriptor): void {
    this.#known.set(descriptor.digest, descriptor);
  }

  async resolve(reference: string, options?: CallOptions): Promise<Descriptor> {
    return this.#known.get(reference) ?? this.#source.resolve(reference, options);
  }

  fetch(target: Descriptor, options?: FetchOptions): Promise<Readable> {
    return this.#source.fetch(target, options);
  }

  exists(target: Descriptor, options?: CallOptions): Promise<boolean> {
    return this.#source.exists(target, options);
  }
}

async function gather(
  source: ReadOnlyTarget,
  found: readonly Found[],
  concurrency: number,
  options: CallOptions,
): Promise<readonly Instance[]> {
  const byDigest = new Map<Digest, Set<string>>();
  for (const { tag, digest } of found) {
    const tags = byDigest.get(digest) ?? new Set();
    if (tag !== undefined) tags.add(tag);
    byDigest.set(digest, tags);
  }
  const instances = await mapConcurrently(
    [...byDigest],
    async ([digest, names], signal): Promise<Instance | undefined> => {
      const call = { signal, onProgress: options.onProgress };
      const tags = [...names].sort();
      try {
        const document = await fetchManifest(source, digest, call);
        const created = await madeAt(source, document, call);
        const size = await sizeOf(source, document, call);
        return { digest, size, tags, ...(created === undefined ? {} : { created }) };
      } catch (error) {
        throwIfAborted(options.signal);
        if (!(error instanceof RootfsError) || !LEFT_OUT.has(error.code)) throw error;
        const named = tags.length === 0 ? '' : ` (${tags.join(', ')})`;
        report(options.onProgress, { type: 'warning:raised', message: `${error.message}; left out${named}` });
        return undefined;
      }
    },
    { concurrency, signal: options.signal },
  );
  return instances.filter((instance) => instance !== undefined);
}

/** What one name leads to that is no reason to list none of the others. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  'ERR_NOT_FOUND',
  'ERR_MANIFEST_INVALID',
  'ERR_NOT_AN_IMAGE',
  'ERR_SCHEMA1_UNSUPPORTED',
]);

async function sizeOf(
  source: ReadOnlyTarget & Partial<Pick<KnownSource, 'know'>>,
  document: FetchedManifest,
  call: CallOptions,
): Promise<number> {
  const own = document.bytes.byteLength;
  if (document.kind === 'manifest') {
    const { config, layers } = document.value;
    return [config, ...layers].reduce((sum, { size }) => sum + size, own);
  }
  let sum = own;
  for (const entry of document.value.manifests) {
    source.know?.(entry);
    const child = await fetchManifest(source, entry.digest, call).catch((error: unknown) => {
      if (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return undefined;
      throw error;
    });
    // An index in an index counts with its own bytes only, and so does a manifest that was not copied with its index.
    sum += child?.kind === 'manifest' ? await sizeOf(source, child, call) : entry.size;
  }
  return sum;
}

/** When an image was made: its annotation, else its config; nothing for what is no image. */
async function madeAt(source: ReadOnlyTarget, document: FetchedManifest, call: CallOptions): Promise<Date | undefined> {
  const said = document.value.annotations?.[Annotation.created] ?? (await configTime(source, document, call));
  const date = new Date(said ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

async function configTime(
  source: ReadOnlyTarget,
  document: FetchedManifest,
  { signal }: CallOptions,
): Promise<string | undefined> {
  try {
    // Of an index any image tells it; without a listener, so that nobody is warned of its platform.
    const image = await fetchImage(source, document.descriptor.digest, { signal });
    return image.config.value.created ?? undefined;
  } catch (error) {
    if (error instanceof RootfsError && QUIET.has(error.code)) return undefined;
    throw error;
  }
}

const QUIET: ReadonlySet<string> = new Set(['ERR_NOT_AN_IMAGE', 'ERR_PLATFORM_NOT_FOUND', 'ERR_CONFIG_INVALID']);
