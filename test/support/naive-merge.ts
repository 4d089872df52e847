/**
 * A naive reading of the image specification's layer.md: one map from path to what is there, every rule spelled out,
 * nothing fast. It shares no code with the merge engine, and is one of the oracles that hold it to the rules.
 */
import type { RandomEntry } from './random-layers.js';

/** What a path of the naive tree is; hard links share one object. */
export interface NaiveThing {
  readonly kind: 'file' | 'dir' | 'symlink' | 'fifo' | 'char' | 'block';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly target: string;
  readonly content: string;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly minor: number;
}

/** Paths without a leading slash; the root is ''. */
export type NaiveTree = Map<string, NaiveThing>;

/** A layer that cannot be applied. */
export class NaiveRefusal extends Error {}

const PLAIN_DIRECTORY: NaiveThing = {
  kind: 'dir',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeNs: 0n,
  target: '',
  content: '',
  xattrs: {},
  minor: 0,
};

const join = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);
const parentOf = (path: string): string => path.split('/').slice(0, -1).join('/');

/**
 * Applies layers, base first.
 *
 * @param tame Refuses also what umoci 0.4.7 cannot do: a directory where something else is in the way of a path, a
 *   hard link before its target, one to itself.
 */
export function naiveMerge(layers: readonly (readonly RandomEntry[])[], tame = false): NaiveTree {
  const tree: NaiveTree = new Map([['', PLAIN_DIRECTORY]]);
  for (const layer of layers) applyLayer(tree, layer, tame);
  return tree;
}

function applyLayer(tree: NaiveTree, layer: readonly RandomEntry[], tame: boolean): void {
  const before: NaiveTree = new Map(tree);
  const gone = hide(tree, layer);
  const late: { path: string; token: NaiveThing; target: string }[] = [];
  for (const [index, entry] of layer.entries()) {
    if (entry.kind === 'whiteout' || entry.kind === 'opaque') continue;
    const name = entry.at.at(-1);
    if (name === undefined) {
      tree.set('', thing(entry));
      continue;
    }
    const folder = makeFolder(tree, entry.at.slice(0, -1), tame);
    const path = join(folder, name);
    if (entry.kind === 'hardlink') {
      const source = linkSource(tree, entry.target);
      const waiting = source !== undefined && late.some(({ token }) => token === tree.get(source));
      if (source !== undefined && tree.get(source)?.kind === 'dir') throw new NaiveRefusal('link to a directory');
      if (
        tame &&
        ((source === undefined && hiddenLater(before, gone, entry.target, index) === undefined) ||
          `${source}/`.startsWith(`${path}/`))
      )
        throw new NaiveRefusal('late link');
      if (source === path && !waiting) continue;
      const lost = source === undefined ? hiddenLater(before, gone, entry.target, index) : undefined;
      const found = source === undefined || waiting ? lost : tree.get(source);
      removeAll(tree, path);
      const token = found ?? { ...PLAIN_DIRECTORY, kind: 'file' };
      tree.set(path, token);
      if (found === undefined) late.push({ path, token, target: entry.target });
      continue;
    }
    if (!(entry.kind === 'dir' && tree.get(path)?.kind === 'dir')) removeAll(tree, path);
    tree.set(path, thing(entry));
  }
  settle(tree, late);
}

/** What a link points at that only whiteouts behind it in the layer take away. */
function hiddenLater(
  before: NaiveTree,
  gone: readonly { readonly path: string; readonly index: number }[],
  target: string,
  index: number,
): NaiveThing | undefined {
  const source = linkSource(before, target);
  const hides = gone.filter(({ path }) => source !== undefined && `${source}/`.startsWith(`${path}/`));
  if (source === undefined || hides.length === 0 || hides.some((one) => one.index < index)) return undefined;
  const found = before.get(source);
  return found?.kind === 'dir' ? undefined : found;
}

/** Whiteouts act on what the layers below have left, all at once. Returns what they hid, and where they stand. */
function hide(tree: NaiveTree, layer: readonly RandomEntry[]): { readonly path: string; readonly index: number }[] {
  const gone: { path: string; index: number }[] = [];
  for (const [index, entry] of layer.entries()) {
    if (entry.kind !== 'whiteout' && entry.kind !== 'opaque') continue;
    const turned = linksTurned(tree, layer.slice(0, index));
    const folder = follow(tree, entry.kind === 'opaque' ? entry.at : entry.at.slice(0, -1), turned);
    if (folder === STOPPED) continue;
    if (entry.kind === 'whiteout') gone.push({ path: join(folder, entry.at.at(-1) as string), index });
    else if (tree.get(folder)?.kind === 'dir') {
      for (const path of tree.keys()) if (path !== '' && parentOf(path) === folder) gone.push({ path, index });
    }
  }
  for (const { path } of gone) removeAll(tree, path);
  return gone;
}

/** The lower links that these entries of a layer turn into directories. */
function linksTurned(tree: NaiveTree, entries: readonly RandomEntry[]): Set<string> {
  const turned = new Set<string>();
  for (const entry of entries) {
    const name = entry.at.at(-1);
    if (entry.kind !== 'dir' || name === undefined) continue;
    try {
      const path = join(follow(tree, entry.at.slice(0, -1)), name);
      if (tree.get(path)?.kind === 'symlink') turned.add(path);
    } catch {
      // a loop turns nothing
    }
  }
  return turned;
}

const STOPPED = '\0stopped';

/** Where a folder lies once all links on the way are followed inside the root; need not be there. */
function follow(tree: NaiveTree, parts: readonly string[], stopAt: ReadonlySet<string> = new Set()): string {
  let todo = [...parts];
  let here = '';
  let links = 0;
  while (todo.length > 0) {
    const [part, ...rest] = todo as [string, ...string[]];
    todo = rest;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      here = parentOf(here);
      continue;
    }
    const next = join(here, part);
    const there = tree.get(next);
    if (there?.kind !== 'symlink') {
      here = next;
      continue;
    }
    if (stopAt.has(next)) return STOPPED;
    links += 1;
    if (links > 255) throw new NaiveRefusal('loop');
    if (there.target.startsWith('/')) here = '';
    todo = [...there.target.split('/'), ...todo];
  }
  return here;
}

function makeFolder(tree: NaiveTree, parts: readonly string[], tame: boolean): string {
  const folder = follow(tree, parts);
  let path = '';
  for (const part of folder.split('/').filter((text) => text !== '')) {
    path = join(path, part);
    if (tree.get(path)?.kind === 'dir') continue;
    if (tame && tree.has(path)) throw new NaiveRefusal('in the way');
    removeAll(tree, path);
    tree.set(path, PLAIN_DIRECTORY);
  }
  return folder;
}

/** The path a hard link's target names, when something is there: `..` by the text, the last link not followed. */
function linkSource(tree: NaiveTree, target: string): string | undefined {
  const parts: string[] = [];
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const name = parts.pop();
  if (name === undefined) throw new NaiveRefusal('link to the root');
  const path = join(follow(tree, parts), name);
  return tree.has(path) ? path : undefined;
}

function settle(tree: NaiveTree, late: readonly { path: string; token: NaiveThing; target: string }[]): void {
  let waiting = late.filter(({ path, token }) => tree.get(path) === token);
  while (waiting.length > 0) {
    const before = waiting.length;
    for (const { path, token, target } of [...waiting]) {
      const source = linkSource(tree, target);
      const found = source === undefined ? undefined : tree.get(source);
      if (found === undefined || waiting.some((other) => other.token === found)) continue;
      if (found.kind === 'dir') throw new NaiveRefusal('link to a directory');
      tree.set(path, found);
      waiting = waiting.filter((other) => other.token !== token);
    }
    if (waiting.length === before) throw new NaiveRefusal('link without a target');
  }
}

function removeAll(tree: NaiveTree, path: string): void {
  for (const other of [...tree.keys()]) if (other === path || other.startsWith(`${path}/`)) tree.delete(other);
}

function thing(entry: RandomEntry): NaiveThing {
  const { mode, uid, gid, mtimeNs, target, content, xattrs } = entry;
  const kind = entry.kind as NaiveThing['kind'];
  const device = kind === 'char' || kind === 'block';
  return {
    kind,
    mode,
    uid,
    gid,
    mtimeNs,
    target: kind === 'symlink' ? target : '',
    content,
    xattrs,
    minor: device ? mode % 256 : 0,
  };
}
