/** Every image that a name of a source leads to: as a registry lists them, or gathered name by name. */
import type { CallOptions, EntryLister, HeldEntry, ReadOnlyTarget, TagLister } from '../content/content.js';
import { listNames } from '../content/image-names.js';
import { checkJobs } from '../image/copy-image.js';
import { requireSource } from '../image/require-source.js';
import { eachUntilAborted, throwIfAborted, untilAborted } from '../io/abort.js';
import { mapConcurrently } from '../io/concurrency.js';
import { warn } from '../progress.js';
import { compareInstances, type Instance } from '../registry/listed-instances.js';
import type { RegistryRepository } from '../registry/repository.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { InstanceReader, isUnreadable } from './instance-reader.js';

/** Options of `listInstances`. */
export interface ListInstancesOptions extends CallOptions {
  /** Requests at once where instances have to be gathered, 1 to 64. Default 6. */
  readonly jobs?: number | undefined;
}

/** What instances are listed of: a repository, or a layout, an archive or any other source of images. */
export type InstanceSource = ReadOnlyTarget & Partial<EntryLister & TagLister & Pick<RegistryRepository, 'listing'>>;

/**
 * Lists the images of a source by digest, in the order of `compareInstances`. Where a registry's own list tells size,
 * tags and times these are taken; else each tag is resolved, and size and time are read from manifest and config.
 * Manifests without a tag are known of layouts and archives, and of registries that list them. What a name leads to
 * and cannot be read as a manifest is left out, with a warning; another tells where a size or a time is not known for
 * sure. Bytes that are not what their digest says end the list.
 *
 * @throws RegistryError, RootfsError as `RegistryRepository.tags` and `fetchManifest`, `ERR_OPTION_INVALID`; or the
 *   signal's own reason
 */
export async function listInstances(
  source: InstanceSource,
  options: ListInstancesOptions = {},
): Promise<ReadonlyMap<Digest, Instance>> {
  const jobs = checkJobs(options.jobs);
  requireSource(source, '');
  const { signal, onProgress } = options;
  const call = { signal, onProgress };
  const listed = new Map<Digest, Instance>();
  const tags = new Set<string>();
  let told = false;
  for await (const page of eachUntilAborted(source.listing?.(call) ?? [], signal)) {
    for (const tag of page.tags) tags.add(tag);
    for (const instance of page.instances ?? []) {
      told = true;
      listed.set(instance.digest, instance);
    }
  }
  if (!told) {
    const found = source.listing === undefined ? await held(source, call) : await resolved(source, tags, jobs, call);
    for (const one of await gather(source, found, jobs, call)) listed.set(one.digest, one);
  }
  return new Map([...listed.values()].sort(compareInstances).map((instance) => [instance.digest, instance]));
}

/** What the tags of a repository point at. */
async function resolved(
  source: InstanceSource,
  tags: Iterable<string>,
  concurrency: number,
  { signal, onProgress }: CallOptions,
): Promise<readonly HeldEntry[]> {
  const found = await mapConcurrently(
    [...tags],
    async (tag, siblings): Promise<{ readonly entry?: HeldEntry; readonly warning?: string }> => {
      try {
        return {
          entry: {
            tag,
            descriptor: await untilAborted(source.resolve(tag, { signal: siblings, onProgress }), siblings),
          },
        };
      } catch (error) {
        throwIfAborted(signal);
        if (!isUnreadable(error)) throw error;
        // Listed, and deleted since.
        return error.code === 'ERR_NOT_FOUND' ? {} : { warning: `${error.message}; left out (${tag})` };
      }
    },
    { concurrency, signal },
  );
  for (const message of found.flatMap(({ warning }) => warning ?? [])) warn(onProgress, message);
  return found.flatMap(({ entry }) => entry ?? []);
}

/** What a local source holds. */
async function held(source: InstanceSource, call: CallOptions): Promise<readonly HeldEntry[]> {
  const found: HeldEntry[] = [];
  const entries = source.entries?.(call) ?? entriesByName(source, call);
  for await (const entry of eachUntilAborted(entries, call.signal)) found.push(entry);
  return found;
}

/** What the names of a source point at, or its one image where it has none. */
async function* entriesByName(source: InstanceSource, call: CallOptions): AsyncGenerator<HeldEntry, void, undefined> {
  if (source.tags === undefined) yield { descriptor: await source.resolve('', call) };
  else for await (const tag of source.tags(call)) yield { tag, descriptor: await source.resolve(tag, call) };
}

/** One image of a list, if it is one, and what is to be told of it. */
interface Gathered {
  readonly instance?: Instance;
  readonly warnings: readonly string[];
}

/** Reads what was found, each image once under all its names. What cannot be read is told, in order. */
async function gather(
  source: InstanceSource,
  found: readonly HeldEntry[],
  concurrency: number,
  options: CallOptions,
): Promise<readonly Instance[]> {
  const byDigest = new Map<Digest, { readonly target: Descriptor; readonly names: Set<string> }>();
  for (const { tag, descriptor } of found) {
    const one = byDigest.get(descriptor.digest) ?? { target: descriptor, names: new Set() };
    if (tag !== undefined) one.names.add(tag);
    byDigest.set(descriptor.digest, one);
  }
  const reader = new InstanceReader(source, source.listing !== undefined);
  const read = await mapConcurrently(
    [...byDigest.values()],
    async ({ target, names }, signal): Promise<Gathered> => {
      const tags = [...names].sort();
      const named = tags.length === 0 ? '' : ` (${listNames(tags)})`;
      try {
        const { size, created, warnings } = await reader.read(target, { signal, onProgress: options.onProgress });
        const instance = { digest: target.digest, size, tags, ...(created === undefined ? {} : { created }) };
        return { instance, warnings: warnings.map((warning) => `${warning}${named}`) };
      } catch (error) {
        throwIfAborted(options.signal);
        if (!isUnreadable(error)) throw error;
        return { warnings: [`${error.message}; left out${named}`] };
      }
    },
    { concurrency, signal: options.signal },
  );
  for (const message of read.flatMap(({ warnings }) => warnings)) warn(options.onProgress, message);
  return read.flatMap(({ instance }) => instance ?? []);
}
