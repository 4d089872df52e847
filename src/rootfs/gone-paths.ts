/** What a layer's whiteouts take away, asked by path: costs the length of the path, whatever else is taken away. */
import { randomBytes } from 'node:crypto';
import type { PlannedWhiteout } from './merge-plan.js';

/** Nobody who makes a layer knows it, and so nobody can make many paths that seem to be the same. */
const FACTOR = randomBytes(4).readUInt32LE() | 1;
const SLASH = 0x2f;

/** A path that is taken away, and how many entries of the layer stand before the first whiteout that says so. */
interface GonePath {
  readonly path: string;
  after: number;
}

/** The paths of whiteouts by the hash of the path: a prefix is looked for without being made. */
class PathTable {
  readonly #byHash = new Map<number, GonePath[]>();

  add(text: string, after: number): void {
    const hash = hashOf(text);
    const bucket = this.#byHash.get(hash);
    const known = bucket?.find((one) => one.path === text);
    if (known !== undefined) known.after = Math.min(known.after, after);
    else if (bucket !== undefined) bucket.push({ path: text, after });
    else this.#byHash.set(hash, [{ path: text, after }]);
  }

  /** How many entries stand before the whiteout of the path's first `end` components; `undefined` where none is. */
  get(hash: number, path: readonly string[], end: number): number | undefined {
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) return undefined;
    const text = path.slice(0, end).join('/');
    return bucket.find((one) => one.path === text)?.after;
  }

  has(text: string): boolean {
    return this.#byHash.get(hashOf(text))?.some(({ path }) => path === text) === true;
  }
}

/** The components of a path; the root has none. */
export function pathComponents(path: string): readonly string[] {
  return path === '' ? [] : path.split('/');
}

function hashOf(path: string): number {
  let hash = 0;
  for (const name of pathComponents(path)) hash = extend(hash, name);
  return hash;
}

function extend(hash: number, name: string): number {
  let next = Math.imul(hash ^ SLASH, FACTOR);
  for (let at = 0; at < name.length; at += 1) next = Math.imul(next ^ name.charCodeAt(at), FACTOR) + 1;
  return next ^ (next >>> 15);
}

/** The whiteouts of one layer. */
export class GonePaths {
  readonly whiteouts: readonly PlannedWhiteout[];
  readonly #named = new PathTable();
  readonly #opaque = new PathTable();

  constructor(whiteouts: readonly PlannedWhiteout[]) {
    this.whiteouts = whiteouts;
    for (const { directory, name, after } of whiteouts) {
      if (name === undefined) this.#opaque.add(directory, after);
      else this.#named.add(directory === '' ? name : `${directory}/${name}`, after);
    }
  }

  /** Whether they take away this path, or one above it; those that stand before the entry `index`. */
  has(path: readonly string[], index = Number.POSITIVE_INFINITY): boolean {
    const takes = (after: number | undefined): boolean => after !== undefined && after <= index;
    let hash = 0;
    for (let end = 0; end <= path.length; end++) {
      if (end > 0) hash = extend(hash, path[end - 1] as string);
      if (end > 0 && takes(this.#named.get(hash, path, end))) return true;
      if (end < path.length && takes(this.#opaque.get(hash, path, end))) return true;
    }
    return false;
  }

  /** Whether a whiteout is about something that no other one takes away as a whole. */
  isEffective({ directory, name }: PlannedWhiteout): boolean {
    return !this.has(pathComponents(directory)) && (name === undefined || !this.#opaque.has(directory));
  }
}
