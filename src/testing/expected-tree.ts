/**
 * What an image must become: the rules of layer application on a plain tree in memory, one entry at a time.
 *
 * It shares nothing with the merge of this library, so that the one can be held against the other. Paths are latin1
 * strings, one character a byte. It is not hardened: its entries come from `random-image.ts`, which keeps them sane.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
 */

/** What an expected node is. */
export type ExpectedType = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo';

/** Owner, mode, time and extended attributes. */
export interface ExpectedAttributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: bigint;
  /** Names and values as latin1. */
  readonly xattrs: ReadonlyMap<string, string>;
}

/** An inode of the expected tree; hard links share one. */
export interface ExpectedNode {
  readonly type: ExpectedType;
  attributes: ExpectedAttributes;
  readonly content?: Buffer | undefined;
  /** A symlink's target as latin1. */
  readonly target?: string | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  /** Directories only. */
  readonly children?: Map<string, ExpectedNode> | undefined;
}

/** A directory that nobody wrote: 0755, root, the epoch. */
export function impliedDirectory(): ExpectedNode {
  const attributes = { mode: 0o755, uid: 0, gid: 0, mtime: 0n, xattrs: new Map<string, string>() };
  return { type: 'directory', attributes, children: new Map() };
}

/** The way to a path, as far as it goes. */
export interface Survey {
  /** A symlink is followed. */
  crossesLink: boolean;
  /** A symlink leads to where nothing is. */
  dangles: boolean;
  /** A file or device stands in the middle. */
  replaces: boolean;
  /** A directory is not there. */
  missing: boolean;
  /** A symlink leads to a file or device, or in a circle: what writing means here is a matter of opinion. */
  blocked: boolean;
}

type Missing = 'make' | 'give up';

/** A tree that entries and whiteouts are applied to. */
export class ExpectedTree {
  readonly root: ExpectedNode = impliedDirectory();

  /** Puts a node at a path: parents are made, links in them followed, a directory over a directory keeps its content. */
  put(path: string, node: ExpectedNode): void {
    if (path === '') {
      this.root.attributes = node.attributes;
      return;
    }
    const { dir, name } = this.#parent(path, 'make') ?? { dir: this.root, name: path };
    const old = dir.children?.get(name);
    if (old?.type === 'directory' && node.type === 'directory') old.attributes = node.attributes;
    else dir.children?.set(name, node);
  }

  /** Gives an inode a second name. */
  link(path: string, target: string): void {
    const node = this.find(target);
    if (node !== undefined) this.put(path, node);
  }

  /** Removes what a whiteout hides. */
  remove(path: string): void {
    const at = this.#parent(path, 'give up');
    at?.dir.children?.delete(at.name);
  }

  /** Removes what an opaque whiteout hides. */
  clear(path: string): void {
    this.find(path)?.children?.clear();
  }

  /** The node at a path; links in its parents are followed, the last component is not. */
  find(path: string): ExpectedNode | undefined {
    if (path === '') return this.root;
    const at = this.#parent(path, 'give up');
    return at?.dir.children?.get(at.name);
  }

  /** What lies on the way to a path: tells which rules of application writing it would touch. */
  survey(path: string): Survey {
    const survey = { crossesLink: false, dangles: false, replaces: false, missing: false, blocked: false };
    this.#walk(path.split('/').slice(0, -1), 'give up', survey);
    return survey;
  }

  /** Every path below the root with its node, parents first, names in byte order; hard links once for each name. */
  *entries(node: ExpectedNode = this.root, prefix = ''): Generator<readonly [path: string, node: ExpectedNode]> {
    const sorted = [...(node.children ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, child] of sorted) {
      const path = prefix === '' ? name : `${prefix}/${name}`;
      yield [path, child];
      yield* this.entries(child, path);
    }
  }

  #parent(path: string, missing: Missing): { readonly dir: ExpectedNode; readonly name: string } | undefined {
    const parts = path.split('/');
    const name = parts.pop() ?? '';
    const dir = this.#walk(parts, missing);
    return dir === undefined ? undefined : { dir, name };
  }

  /** Walks to a directory. Links act as if the root were the whole file system; the stack holds the way back up. */
  #walk(parts: readonly string[], missing: Missing, survey?: Survey): ExpectedNode | undefined {
    const stack: ExpectedNode[] = [this.root];
    const todo = parts.map((name) => ({ name, viaLink: false }));
    let links = 0;
    while (todo.length > 0) {
      const step = todo.shift() as (typeof todo)[number];
      const dir = stack.at(-1) ?? this.root;
      if (step.name === '' || step.name === '.') continue;
      if (step.name === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const child = dir.children?.get(step.name);
      if (child?.type === 'directory') {
        stack.push(child);
      } else if (child?.type === 'symlink') {
        links += 1;
        if (survey !== undefined) survey.crossesLink = true;
        if (links > 30) {
          if (survey !== undefined) survey.blocked = true;
          return undefined;
        }
        const target = child.target ?? '';
        if (target.startsWith('/')) stack.length = 1;
        todo.unshift(...target.split('/').map((name) => ({ name, viaLink: true })));
      } else {
        if (survey !== undefined) {
          survey.blocked = child !== undefined && step.viaLink;
          survey.dangles = child === undefined && step.viaLink;
          survey.replaces = child !== undefined;
          survey.missing = child === undefined && !step.viaLink;
        }
        if (missing === 'give up') return undefined;
        const made = impliedDirectory();
        dir.children?.set(step.name, made);
        stack.push(made);
      }
    }
    return stack.at(-1) ?? this.root;
  }
}
