/** The `manifest.json` of a docker-archive: which images it holds, under which names. Pure. */
import { RootfsError } from '../errors.js';
import { readJsonObject } from '../spec/json-document.js';
import { canonicalName, listNames } from './image-names.js';

/** One image of a docker-archive; paths are names in the archive. */
export interface ArchivedImage {
  readonly config: string;
  readonly tags: readonly string[];
  /** Base first. */
  readonly layers: readonly string[];
}

/** The most images of one archive. */
export const MAX_ARCHIVED_IMAGES = 10_000;

/** Reads the list. @param place What errors name. @throws RootfsError `ERR_ARCHIVE_INVALID`, `ERR_LIMIT_EXCEEDED` */
export function readImageList(bytes: Uint8Array, place: string): readonly ArchivedImage[] {
  // The document is a list; as the one member of an object it goes through the same door as all others.
  const wrapped = Buffer.concat([Buffer.from('{"images":'), bytes, Buffer.from('}')]);
  const kind = { name: 'manifest.json', code: 'ERR_ARCHIVE_INVALID', lists: ['RepoTags', 'Layers'] } as const;
  const document = readJsonObject(wrapped, kind, { subject: place, maxBytes: wrapped.length });
  const { images } = document;
  if (Object.keys(document).length !== 1 || !Array.isArray(images)) throw invalid(place, 'it is not a list');
  if (images.length > MAX_ARCHIVED_IMAGES) throw invalid(place, `it lists over ${MAX_ARCHIVED_IMAGES} images`);
  return images.map((image, at) => {
    const { Config: config, RepoTags: tags = [], Layers: layers = [] } = (image ?? {}) as Record<string, unknown>;
    if (typeof config !== 'string' || config === '') throw invalid(place, `image ${at} has no Config`);
    // Go reads null as empty text, and scripts that split a file of tags leave an empty one at its end.
    const named = Array.isArray(tags) ? tags.filter((tag) => tag !== null && tag !== '') : tags;
    if (!isStrings(named)) throw invalid(place, `the RepoTags of image ${at} are no list of names`);
    if (!isStrings(layers)) throw invalid(place, `the Layers of image ${at} are no list of paths`);
    return { config, tags: named, layers };
  });
}

/**
 * Picks an image by a reference, as `DockerArchive.resolve` promises it.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export function pickImage(images: readonly ArchivedImage[], reference: string, place: string): ArchivedImage {
  const position = /^@(\d{1,6})$/.exec(reference)?.[1];
  const found =
    position === undefined ? byName(images, reference) : images.slice(Number(position), Number(position) + 1);
  const [image] = found;
  if (image !== undefined && found.length === 1) return image;
  // Of thousands this takes its time, and each of them may be asked for.
  const choices = choicesOf(images);
  const shown = listNames(choices);
  if (image === undefined) {
    const what = reference === '' ? 'no image' : `no image ${reference}`;
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${place}: ${what} here; ${images.length === 0 ? 'it is empty' : `it has ${shown}`}`,
      { detail: { archive: place, reference, choices } },
    );
  }
  throw new RootfsError('ERR_REFERENCE_INVALID', `${place}: it holds several images; say which: ${shown}`, {
    detail: { archive: place, reference, choices },
  });
}

/** What each image can be asked for by: a tag that several have says nothing. */
function choicesOf(images: readonly ArchivedImage[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const tag of images.flatMap(({ tags }) => [...new Set(tags)])) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return images.flatMap(({ tags }, at) => {
    const own = [...new Set(tags)].filter((tag) => counts.get(tag) === 1);
    return own.length > 0 ? own : [`@${at}`];
  });
}

function byName(images: readonly ArchivedImage[], reference: string): readonly ArchivedImage[] {
  if (reference === '') return images;
  const exact = images.filter((image) => image.tags.includes(reference));
  if (exact.length > 0) return exact.slice(-1);
  const canonical = canonicalName(reference);
  if (canonical === undefined) return [];
  return images.filter((image) => image.tags.some((tag) => canonicalName(tag) === canonical)).slice(-1);
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

function invalid(place: string, reason: string): RootfsError {
  return new RootfsError('ERR_ARCHIVE_INVALID', `${place}: manifest.json: ${reason}; save the image again`, {
    detail: { archive: place },
  });
}
