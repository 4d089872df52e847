/** Every manifest of a repository that a tag leads to: as the registry lists them, or gathered tag by tag. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { checkJobs } from '../image/copy-image.js';
import { fetchImage } from '../image/fetch-image.js';
import { type FetchedManifest, fetchManifest } from '../image/fetch-manifest.js';
import { mapConcurrently } from '../io/concurrency.js';
import { compareInstances, type Instance } from '../registry/listed-instances.js';
import type { RegistryRepository } from '../registry/repository.js';
import { Annotation } from '../spec/annotations.js';
import type { Digest } from '../spec/digest.js';

/** Options of `listInstances`. */
export interface ListInstancesOptions extends CallOptions {
  /** Requests at once where instances have to be gathered, 1 to 64. Default 6. */
  readonly jobs?: number | undefined;
}

/**
 * Lists the manifests of a repository by digest, in the order of `compareInstances`. Where the registry's own list
 * tells size, tags and times these are taken; else each tag is resolved, and size and time are read from manifest and
 * config. Manifests without a tag are known only where the registry lists them.
 *
 * @throws RegistryError, RootfsError as `RegistryRepository.tags` and `fetchManifest`, `ERR_OPTION_INVALID`; or the
 *   signal's own reason
 */
export async function listInstances(
  repository: RegistryRepository,
  options: ListInstancesOptions = {},
): Promise<ReadonlyMap<Digest, Instance>> {
  const jobs = checkJobs(options.jobs);
  const { signal, onProgress } = options;
  const call = { signal, onProgress };
  const listed = new Map<Digest, Instance>();
  const tags = new Set<string>();
  let told = false;
  for await (const page of repository.listing(call)) {
    for (const tag of page.tags) tags.add(tag);
    for (const instance of page.instances ?? []) {
      told = true;
      listed.set(instance.digest, instance);
    }
  }
  if (!told)
    for (const instance of await gather(repository, [...tags], jobs, call)) listed.set(instance.digest, instance);
  return new Map([...listed.values()].sort(compareInstances).map((instance) => [instance.digest, instance]));
}

async function gather(
  repository: RegistryRepository,
  tags: readonly string[],
  concurrency: number,
  options: CallOptions,
): Promise<readonly Instance[]> {
  const resolved = await mapConcurrently(
    tags,
    async (tag, signal) => {
      try {
        return { tag, digest: (await repository.resolve(tag, { signal, onProgress: options.onProgress })).digest };
      } catch (error) {
        // Listed, and deleted since.
        if (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return undefined;
        throw error;
      }
    },
    { concurrency, signal: options.signal },
  );
  const byDigest = new Map<Digest, string[]>();
  for (const found of resolved) {
    if (found !== undefined) byDigest.set(found.digest, [...(byDigest.get(found.digest) ?? []), found.tag]);
  }
  return mapConcurrently(
    [...byDigest],
    async ([digest, names], signal) => {
      const call = { signal, onProgress: options.onProgress };
      const document = await fetchManifest(repository, digest, call);
      const created = await madeAt(repository, document, call);
      return {
        digest,
        size: await sizeOf(repository, document, call),
        tags: names.sort(),
        ...(created === undefined ? {} : { created }),
      };
    },
    { concurrency, signal: options.signal },
  );
}

async function sizeOf(repository: RegistryRepository, document: FetchedManifest, call: CallOptions): Promise<number> {
  const own = document.bytes.byteLength;
  if (document.kind === 'manifest') {
    const { config, layers } = document.value;
    return [config, ...layers].reduce((sum, { size }) => sum + size, own);
  }
  let sum = own;
  for (const { digest } of document.value.manifests) {
    const child = await fetchManifest(repository, digest, call);
    // An index in an index counts with its own bytes only.
    sum += child.kind === 'manifest' ? await sizeOf(repository, child, call) : child.bytes.byteLength;
  }
  return sum;
}

/** When an image was made: its annotation, else its config; nothing for what is no image. */
async function madeAt(
  repository: RegistryRepository,
  document: FetchedManifest,
  call: CallOptions,
): Promise<Date | undefined> {
  const said = document.value.annotations?.[Annotation.created] ?? (await configTime(repository, document, call));
  const date = new Date(said ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

async function configTime(
  repository: RegistryRepository,
  document: FetchedManifest,
  { signal }: CallOptions,
): Promise<string | undefined> {
  try {
    // Of an index any image tells it; without a listener, so that nobody is warned of its platform.
    const image = await fetchImage(repository, document.descriptor.digest, { signal });
    return image.config.value.created ?? undefined;
  } catch (error) {
    if (error instanceof RootfsError && QUIET.has(error.code)) return undefined;
    throw error;
  }
}

const QUIET: ReadonlySet<string> = new Set(['ERR_NOT_AN_IMAGE', 'ERR_PLATFORM_NOT_FOUND', 'ERR_CONFIG_INVALID']);
