/**
 * What some registries add to their list of tags: every manifest with its size, tags and times (Google's registries).
 *
 * @see https://pkg.go.dev/github.com/google/go-containerregistry/pkg/v1/google#Tags
 */
import type { CallOptions } from '../content/content.js';
import { type Digest, isVerifiable } from '../spec/digest.js';
import { isTag } from '../spec/reference.js';
import { NameReader } from './list-page.js';
import type { ListRequest, NamesRequest } from './paged-list.js';

/** One manifest of a repository, and what is known of it. */
export interface Instance {
  readonly digest: Digest;
  /** Bytes of the image: its layers, config and manifest; of an index all images below it. */
  readonly size: number;
  /** In order of their names. */
  readonly tags: readonly string[];
  /** When the image was made, as its config says. */
  readonly created?: Date | undefined;
  /** When it came to the registry; few registries tell. */
  readonly uploaded?: Date | undefined;
}

/** One page of a list: its tags, and the instances where the registry tells them. */
export interface ListedPage {
  readonly tags: readonly string[];
  readonly instances?: readonly Instance[] | undefined;
}

/** Asks for tags and instances in one: a page may bring new ones of one kind alone. */
export function listedEntries(request: NamesRequest, call: CallOptions): ListRequest<string | Instance> {
  const reader = new NameReader('tags', request.subject, call);
  return {
    ...request,
    entries: (page) => [...reader.read(page), ...(instancesOf(page.value) ?? [])],
    // No tag has a colon, and every digest.
    keyOf: (entry) => (typeof entry === 'string' ? entry : entry.digest),
  };
}

/** Tells tags and instances apart again. */
export function listedPage(entries: readonly (string | Instance)[]): ListedPage {
  const instances = entries.filter((entry) => typeof entry !== 'string');
  const tags = entries.filter((entry) => typeof entry === 'string');
  return instances.length === 0 ? { tags } : { tags, instances };
}

/** Reads the instances in a page of a tag list: `undefined` where the registry adds none. Wrong entries are passed over. */
export function instancesOf(page: unknown): readonly Instance[] | undefined {
  const listed = (page as { readonly manifest?: unknown } | null)?.manifest;
  if (typeof listed !== 'object' || listed === null || Array.isArray(listed)) return undefined;
  const found: Instance[] = [];
  for (const [digest, entry] of Object.entries(listed)) {
    if (!isVerifiable(digest) || typeof entry !== 'object' || entry === null) continue;
    const { imageSizeBytes, tag, timeCreatedMs, timeUploadedMs } = entry as Record<string, unknown>;
    const tags = Array.isArray(tag)
      ? tag.filter((one): one is string => typeof one === 'string' && isTag(one)).sort()
      : [];
    const created = time(timeCreatedMs);
    const uploaded = time(timeUploadedMs);
    found.push({
      digest,
      size: whole(imageSizeBytes) ?? 0,
      tags,
      ...(created === undefined ? {} : { created }),
      ...(uploaded === undefined ? {} : { uploaded }),
    });
  }
  return found;
}

/**
 * The order of instances: by the time they were made, then the time they came, then size, then digest. What does not
 * tell a time comes before what does.
 */
export function compareInstances(a: Instance, b: Instance): number {
  return (
    order(a.created?.getTime(), b.created?.getTime()) ||
    order(a.uploaded?.getTime(), b.uploaded?.getTime()) ||
    order(a.size, b.size) ||
    (a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0)
  );
}

function order(a: number | undefined, b: number | undefined): number {
  if (a === b) return 0;
  if (a === undefined) return -1;
  return b === undefined || a > b ? 1 : -1;
}

/** Numbers come as decimal strings; a plain number is taken too. */
function whole(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** The epoch and before are no time: registries write them where they know none. */
function time(value: unknown): Date | undefined {
  const milliseconds = whole(value);
  if (milliseconds === undefined || milliseconds === 0 || milliseconds > 8.64e15) return undefined;
  return new Date(milliseconds);
}
