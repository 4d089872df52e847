/** Which names an engine's images have. */
import { join } from 'node:path';
import type { CallOptions } from '../content/content.js';
import { requireReference } from '../content/require-reference.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { type Digest, isDigest, parseDigest } from '../spec/digest.js';
import { changeJsonFile, readJsonFile } from './json-file.js';

/** Keeps names. References are full ones: `docker.io/library/debian:12`, `docker.io/library/debian@sha256:…`. */
export interface ReferenceStore {
  /** The image ID that a name points at; `undefined` for a name that is not known. */
  get(reference: string, options?: CallOptions): Promise<Digest | undefined>;
  /** Points a name at an image; an older meaning is replaced. */
  set(reference: string, id: Digest, options?: CallOptions): Promise<void>;
  /** Forgets a name. @returns whether it was known */
  delete(reference: string, options?: CallOptions): Promise<boolean>;
  /** The names of an image, in no promised order. */
  references(id: Digest, options?: CallOptions): Promise<readonly string[]>;
}

/** Names in one JSON file, `references.json`, that several processes may change at once. */
export class FileReferenceStore implements ReferenceStore {
  readonly #path: string;

  /** @param folder Made when the first name comes. */
  constructor(folder: string) {
    this.#path = join(absolutePath(folder, 'folder'), 'references.json');
  }

  /** See `ReferenceStore`. @throws RootfsError `ERR_FILESYSTEM`, `ERR_PERMISSION` */
  async get(reference: string): Promise<Digest | undefined> {
    return entries(await readJsonFile(this.#path)).get(reference);
  }

  /**
   * See `ReferenceStore`.
   *
   * @throws RootfsError also `ERR_REFERENCE_INVALID` (no text), `ERR_DIGEST_INVALID`, `ERR_NO_SPACE`; the signal's reason
   */
  async set(reference: string, id: Digest, { signal }: CallOptions = {}): Promise<void> {
    // What `get` would pass over is not taken.
    requireReference(reference, 'reference');
    parseDigest(id);
    await changeJsonFile(this.#path, (value) => written(entries(value).set(reference, id)), { signal });
  }

  /** See `ReferenceStore`. @throws RootfsError as `set` */
  async delete(reference: string, { signal }: CallOptions = {}): Promise<boolean> {
    throwIfAborted(signal);
    if ((await readJsonFile(this.#path)) === undefined) return false;
    let known = false;
    await changeJsonFile(
      this.#path,
      (value) => {
        const all = entries(value);
        known = all.delete(reference);
        return known ? written(all) : undefined;
      },
      { signal },
    );
    return known;
  }

  /** See `ReferenceStore`. @throws RootfsError as `get` */
  async references(id: Digest): Promise<readonly string[]> {
    const all = entries(await readJsonFile(this.#path));
    return [...all].filter(([, found]) => found === id).map(([reference]) => reference);
  }
}

/** A list of pairs, so that no name can be mistaken for something that every object has. */
function entries(value: unknown): Map<string, Digest> {
  const list = (value as { readonly references?: unknown } | undefined)?.references;
  const all = new Map<string, Digest>();
  for (const pair of Array.isArray(list) ? (list as unknown[]) : []) {
    const [reference, id] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof reference === 'string' && typeof id === 'string' && isDigest(id)) all.set(reference, id);
  }
  return all;
}

function written(all: ReadonlyMap<string, Digest>): unknown {
  return { version: 1, references: [...all] };
}
