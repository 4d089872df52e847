/** In which repositories a layer was seen, and as which blob: so that it need not be uploaded where it already is. */
import { join } from 'node:path';
import type { CallOptions } from '../content/content.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { partError } from '../io/part-error.js';
import { type Digest, isDigest, requireVerifiable } from '../spec/digest.js';
import { changeJsonFile, readJsonFile } from './json-file.js';

/** A layer as a repository has it. */
export interface LayerSighting {
  /** Of the compressed blob. */
  readonly digest: Digest;
  /** Length of the compressed blob in bytes. */
  readonly size: number;
  readonly mediaType: string;
  /** Registry and path: `docker.io/library/debian`. */
  readonly repository: string;
  /** Where else it may be had, of one that must not be handed on. */
  readonly urls?: readonly string[] | undefined;
}

/** Remembers where layers were seen. What it says may be out of date: it is asked for advice, and checked. */
export interface MetadataStore {
  /** Where a layer was seen, the latest first. */
  get(diffId: Digest, options?: CallOptions): Promise<readonly LayerSighting[]>;
  /** Notes that a layer was seen; it becomes the latest. */
  add(diffId: Digest, sighting: LayerSighting, options?: CallOptions): Promise<void>;
  /** Forgets what turned out to be wrong. */
  remove(diffId: Digest, sighting: LayerSighting, options?: CallOptions): Promise<void>;
}

/** How many sightings of one layer are kept. */
const MAX_SIGHTINGS = 50;

/** Sightings in a folder, one JSON file for each layer; several processes may use it at once. */
export class FileMetadataStore implements MetadataStore {
  readonly #folder: string;

  /** @param folder Made when the first sighting comes. */
  constructor(folder: string) {
    this.#folder = absolutePath(folder, 'folder');
  }

  /** See `MetadataStore`. @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_FILESYSTEM`, `ERR_PERMISSION` */
  async get(diffId: Digest): Promise<readonly LayerSighting[]> {
    return sightings(await readJsonFile(this.#path(diffId)));
  }

  /** See `MetadataStore`. @throws RootfsError also `ERR_OPTION_INVALID` (no sighting), `ERR_NO_SPACE`; the signal's reason */
  async add(diffId: Digest, sighting: LayerSighting, { signal }: CallOptions = {}): Promise<void> {
    if (!isSighting(sighting)) {
      throw partError('sighting', 'digest, size, mediaType and repository of a blob', sighting, 'fill in all of them');
    }
    const change = (value: unknown): unknown => {
      const others = sightings(value).filter((other) => !isSame(other, sighting));
      return { version: 1, sightings: [sighting, ...others].slice(0, MAX_SIGHTINGS) };
    };
    await changeJsonFile(this.#path(diffId), change, { signal });
  }

  /** See `MetadataStore`. @throws RootfsError as `add` */
  async remove(diffId: Digest, sighting: LayerSighting, { signal }: CallOptions = {}): Promise<void> {
    const change = (value: unknown): unknown => {
      const all = sightings(value);
      const others = all.filter((other) => !isSame(other, sighting));
      return others.length === all.length ? undefined : { version: 1, sightings: others };
    };
    const path = this.#path(diffId);
    throwIfAborted(signal);
    if ((await readJsonFile(path)) !== undefined) await changeJsonFile(path, change, { signal });
  }

  #path(diffId: Digest): string {
    const { algorithm, encoded } = requireVerifiable(diffId);
    return join(this.#folder, algorithm, `${encoded}.json`);
  }
}

function isSame(a: LayerSighting, b: LayerSighting): boolean {
  return a.digest === b.digest && a.repository === b.repository;
}

function sightings(value: unknown): readonly LayerSighting[] {
  const list = (value as { readonly sightings?: unknown } | undefined)?.sightings;
  return (Array.isArray(list) ? (list as unknown[]) : []).filter(isSighting);
}

/** Whether a value says all that a sighting says. */
export function isSighting(value: unknown): value is LayerSighting {
  const { digest, size, mediaType, repository, urls = [] } = (value ?? {}) as Record<string, unknown>;
  return (
    typeof digest === 'string' &&
    isDigest(digest) &&
    typeof size === 'number' &&
    Number.isSafeInteger(size) &&
    size >= 0 &&
    typeof mediaType === 'string' &&
    typeof repository === 'string' &&
    Array.isArray(urls) &&
    urls.every((url) => typeof url === 'string')
  );
}
