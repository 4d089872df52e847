/** One of the tags of a source, under the same tag at another place. */
import type { ReadOnlyTarget, Resolver } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted, untilAborted } from '../io/abort.js';
import { type CopyDestination, type CopyImageOptions, type CopyResult, copyImage } from './copy-image.js';
import { type FetchedManifest, fetchManifest } from './fetch-manifest.js';

/** What lists the referrers of an image at registries that have no API for that: `sha256-<hex>`. */
const REFERRERS_TAG = /^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64})$/;

/**
 * Copies what a tag stands for as `copyImage` does, but that a list of referrers at a registry is added to and never
 * replaced: what others put there has no other name. Its entries are manifests with a `subject`, and a registry's
 * `push` adds each of these to the list that it finds.
 *
 * @throws RootfsError as `copyImage`
 */
export async function copyTag(
  source: ReadOnlyTarget,
  from: string,
  destination: CopyDestination,
  tag: string,
  options: CopyImageOptions = {},
): Promise<CopyResult> {
  const { platform = 'all' } = options;
  // One platform out of a list is an image, as it is out of any other index.
  if (!REFERRERS_TAG.test(tag) || !isRepository(destination) || platform !== 'all') {
    return copyImage(source, from, destination, tag, options);
  }
  const coming = await fetchManifest(source, from, options);
  if (!(await listsMore(destination, tag, coming, options))) return copyImage(source, from, destination, tag, options);
  const result = await copyImage(source, from, destination, coming.descriptor.digest, options);
  return { ...result, descriptor: await untilAborted(destination.resolve(tag, options), options.signal) };
}

/** Whether the list that is at the destination has entries that the coming one has not. */
async function listsMore(
  destination: CopyDestination & Resolver,
  tag: string,
  coming: FetchedManifest,
  options: CopyImageOptions,
): Promise<boolean> {
  if (coming.kind !== 'index') return false;
  try {
    const present = await fetchManifest(destination, tag, options);
    const known = new Set(coming.value.manifests.map(({ digest }) => digest));
    return present.kind === 'index' && present.value.manifests.some(({ digest }) => !known.has(digest));
  } catch (error) {
    throwIfAborted(options.signal);
    if (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return false;
    throw error;
  }
}

/** A repository of a registry: others write to it too. */
function isRepository(destination: CopyDestination): destination is CopyDestination & Resolver {
  const { registry, resolve } = destination as { readonly registry?: unknown; readonly resolve?: unknown };
  return typeof registry === 'string' && typeof resolve === 'function';
}
