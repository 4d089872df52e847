/** Turns a merged tree into the plan of an unpack: who is written, with which owner and attributes, and what is lost. */
import { RootfsError } from '../errors.js';
import { isEntryName } from '../io/directory.js';
import type { LayerTar } from '../rootfs/merge.js';
import { type Inode, type MergedTree, nodePath, type TreeNode } from '../rootfs/tree.js';
import { mapId } from './id-map.js';
import { checkDataPlace } from './layer-files.js';
import { OwnershipRecords, ROOTLESS_XATTR, rootlessXattr } from './ownership-file.js';
import { selectNodes } from './path-filter.js';
import type { Powers } from './powers.js';
import { skippedXattr } from './skipped-xattr.js';
import type { Loss, UnpackLimits, UnpackOptions } from './unpack-options.js';
import { BatchBuilder, type EntryDetail, type PlannedEntry, packSegment, type UnpackPlan } from './unpack-plan.js';

/** A plan, and what became clear while it was made. */
export interface PlannedUnpack {
  readonly plan: UnpackPlan;
  readonly records: OwnershipRecords;
  readonly losses: LossList;
  readonly skippedXattrs: ReadonlyMap<string, number>;
}

/** Counts what cannot be kept, by kind. */
export class LossList {
  readonly #losses = new Map<Loss['what'], Loss>();

  /** Notes one entry; the first of a kind is its example. */
  add(what: Loss['what'], path: string): void {
    const known = this.#losses.get(what);
    const example = known?.example ?? Buffer.from(path, 'latin1').toString();
    this.#losses.set(what, { what, entries: (known?.entries ?? 0) + 1, example });
  }

  list(): Loss[] {
    return [...this.#losses.values()];
  }
}

/** What a plan is made from. */
export interface PlanInput {
  readonly tree: MergedTree;
  readonly layers: readonly LayerTar[];
  readonly options: UnpackOptions;
  readonly limits: UnpackLimits;
  readonly powers: Powers;
  /** Whether the native calls are there. */
  readonly native: boolean;
  /** Extended attributes that the form itself wants, beside the image's. */
  readonly marks?: Marks | undefined;
}

/** Extended attributes by node: names and values are bytes as latin1. */
export type Marks = ReadonlyMap<TreeNode, readonly (readonly [name: string, value: string])[]>;

/**
 * Plans an unpack. Reads no data and writes nothing.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID` (a name or a place in a tar that cannot be),
 *   `ERR_OPTION_INVALID` (an owner outside the id maps)
 */
export function planUnpack(input: PlanInput): PlannedUnpack {
  return new Planner(input).plan();
}

class Planner {
  readonly #input: PlanInput;
  readonly #selected: ReadonlySet<TreeNode> | undefined;
  readonly #contents = new BatchBuilder();
  readonly #links = new BatchBuilder();
  readonly #directories = new BatchBuilder();
  readonly #records = new OwnershipRecords();
  readonly #losses = new LossList();
  readonly #skipped = new Map<string, number>();
  readonly #firstNames = new Map<Inode, readonly string[]>();
  #entries = 0;
  #dataBytes = 0;

  constructor(input: PlanInput) {
    this.#input = input;
    this.#selected = selectNodes(input.tree, input.options);
  }

  plan(): PlannedUnpack {
    const { root } = this.#input.tree;
    if (root.inode.type !== 'directory' || root.children === undefined) {
      throw new RootfsError('ERR_LAYER_INVALID', `the root is a ${root.inode.type}; expected a directory`);
    }
    this.#walk(root, [], 0);
    const rootSegment = packSegment([], [this.#entry(root, [], '')]);
    for (const builder of [this.#contents, this.#links, this.#directories]) builder.flush();
    // Whoever gets a large batch last is waited for: the largest go first.
    const contents = this.#contents.batches.sort((a, b) => b.dataBytes - a.dataBytes);
    return {
      plan: {
        contents,
        links: this.#links.batches,
        directories: this.#directories.batches,
        root: rootSegment,
        entries: this.#entries,
        dataBytes: this.#dataBytes,
      },
      records: this.#records,
      losses: this.#losses,
      skippedXattrs: this.#skipped,
    };
  }

  /** Plans what is in a directory. */
  #walk(node: TreeNode, path: readonly string[], pathBytes: number): void {
    const contents: PlannedEntry[] = [];
    const links: PlannedEntry[] = [];
    const directories: PlannedEntry[] = [];
    for (const child of node.children?.values() ?? []) {
      if (this.#selected?.has(child) === false) continue;
      const childPath = [...path, child.name];
      const childBytes = pathBytes + (path.length === 0 ? 0 : 1) + child.name.length;
      this.#checkName(child, childPath, childBytes);
      if (child.inode.type === 'directory') {
        this.#walk(child, childPath, childBytes);
        directories.push(this.#entry(child, childPath, child.name));
      } else {
        const entry = this.#nonDirectory(child, childPath);
        (entry.type === 'link' ? links : contents).push(entry);
      }
    }
    contents.sort((a, b) => a.layer - b.layer || a.tarOffset - b.tarOffset);
    this.#contents.add(path, contents);
    this.#links.add(path, links);
    this.#directories.add(path, directories);
  }

  #checkName(node: TreeNode, path: readonly string[], pathBytes: number): void {
    const { limits } = this.#input;
    const exceeded =
      ++this.#entries > limits.maxEntries
        ? `more than ${limits.maxEntries} entries; raise maxEntries`
        : path.length - 1 > limits.maxDepth
          ? `more than ${limits.maxDepth} directories deep; raise maxDepth`
          : pathBytes > limits.maxPathBytes
            ? `a path of more than ${limits.maxPathBytes} bytes; raise maxPathBytes`
            : undefined;
    if (exceeded !== undefined) {
      const shown = shorten(path.join('/'));
      throw new RootfsError('ERR_LIMIT_EXCEEDED', `${shown}: ${exceeded} if the image is to be trusted`, {
        detail: { path: shown },
      });
    }
    if (!isEntryName(node.name)) {
      throw new RootfsError(
        'ERR_LAYER_INVALID',
        `${JSON.stringify(shorten(path.join('/')))} is not a path below the root`,
      );
    }
  }

  #nonDirectory(node: TreeNode, path: readonly string[]): PlannedEntry {
    const { inode } = node;
    const from = inode.links > 1 ? this.#firstNames.get(inode) : undefined;
    if (from !== undefined) {
      return { ...this.#bare(node.name, inode), type: 'link', detail: { linkFrom: from, linkType: inode.type } };
    }
    if (inode.links > 1) this.#firstNames.set(inode, path);
    if (inode.type === 'file') this.#countData(inode, path);
    if (inode.type === 'symlink' && (inode.linkTarget ?? '\0').includes('\0')) {
      throw new RootfsError('ERR_LAYER_INVALID', `${shorten(path.join('/'))}: a symbolic link without a usable target`);
    }
    return this.#entry(node, path, node.name);
  }

  #countData(inode: Inode, path: readonly string[]): void {
    const { limits, layers } = this.#input;
    this.#dataBytes += inode.size;
    if (!(inode.size >= 0) || this.#dataBytes > limits.maxDataBytes) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${shorten(path.join('/'))}: files of more than ${limits.maxDataBytes} bytes together; raise maxDataBytes if the image is to be trusted`,
      );
    }
    checkDataPlace(inode, layers, () => shorten(path.join('/')));
  }

  #bare(name: string, inode: Inode): Omit<PlannedEntry, 'detail'> {
    return {
      name,
      type: inode.type,
      mode: inode.mode & 0o7777,
      uid: -1,
      gid: -1,
      seconds: inode.mtime.seconds,
      nanoseconds: inode.mtime.nanoseconds,
      size: inode.size,
      layer: inode.data?.layer ?? -1,
      tarOffset: inode.data?.tarOffset ?? 0,
    };
  }

  #entry(node: TreeNode, path: readonly string[], name: string): PlannedEntry {
    const { inode } = node;
    const { powers, native } = this.#input;
    const shownPath = (): string => nodePath(node);
    const bare = this.#bare(name, inode);
    const xattrs = this.#xattrs(inode, shownPath);
    for (const [key, value] of this.#input.marks?.get(node) ?? []) xattrs.push([key, value]);
    const owner = this.#owner(inode, shownPath, xattrs);
    let { mode } = bare;
    if (owner === 'foreign') {
      if (inode.uid !== powers.uid) mode &= ~0o4000;
      if (inode.gid !== powers.gid) mode &= ~0o2000;
    }
    if (inode.type === 'directory' && !powers.root && (mode & 0o700) !== 0o700) {
      this.#records.add({ path: path.join('/'), mode });
      mode |= 0o700;
    }
    if (!native) this.#noteMissingNative(inode, shownPath);
    const detail: EntryDetail = {
      ...(inode.linkTarget === undefined ? {} : { linkTarget: inode.linkTarget }),
      ...(inode.rdevMajor === undefined ? {} : { rdevMajor: inode.rdevMajor, rdevMinor: inode.rdevMinor ?? 0 }),
      ...(inode.data?.extents === undefined ? {} : { extents: inode.data.extents }),
      ...(xattrs.length === 0 ? {} : { xattrs }),
    };
    const set = typeof owner === 'object' ? owner : { uid: -1, gid: -1 };
    return { ...bare, ...set, mode, detail: Object.keys(detail).length === 0 ? undefined : detail };
  }

  #xattrs(inode: Inode, path: () => string): [string, string][] {
    const kept: [string, string][] = [];
    for (const [name, value] of inode.xattrs ?? []) {
      const skipped = skippedXattr(name, inode.type);
      if (skipped !== undefined) this.#skipped.set(skipped, (this.#skipped.get(skipped) ?? 0) + 1);
      else kept.push([name, value.toString('latin1')]);
    }
    if (kept.length > 0 && !this.#input.native) {
      this.#losses.add('xattrs', path());
      if (!this.#input.powers.root) this.#records.add({ path: path(), xattrs: kept });
      return [];
    }
    return kept;
  }

  /** The owner to set; 'own': none needs to be set; 'foreign': none is set though the image has another. */
  #owner(
    inode: Inode,
    path: () => string,
    xattrs: [string, string][],
  ): { readonly uid: number; readonly gid: number } | 'own' | 'foreign' {
    const { options, powers, native } = this.#input;
    if (options.sameOwner === false) return 'foreign';
    const uid = mapId(options.uidMap, inode.uid);
    const gid = mapId(options.gidMap, inode.gid);
    if (uid === undefined || gid === undefined) {
      const [kind, id] = uid === undefined ? ['uid', inode.uid] : ['gid', inode.gid];
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${kind} ${id} of ${JSON.stringify(shorten(path()))} lies outside the ${kind}Map; widen it, or do without owners (sameOwner: false)`,
        { detail: { [kind as string]: id } },
      );
    }
    if (powers.mayOwn(uid, gid)) return uid === powers.uid && gid === powers.gid ? 'own' : { uid, gid };
    if (powers.root) {
      this.#losses.add('owners', path());
      return 'foreign';
    }
    if (inode.uid === 0 && inode.gid === 0) return 'own';
    this.#records.add({ path: path(), uid: inode.uid, gid: inode.gid });
    if (native && (inode.type === 'file' || inode.type === 'directory')) {
      xattrs.push([ROOTLESS_XATTR, rootlessXattr(inode.uid, inode.gid).toString('latin1')]);
    }
    return 'own';
  }

  #noteMissingNative(inode: Inode, path: () => string): void {
    if (inode.type === 'char' || inode.type === 'block') this.#losses.add('devices', path());
    else if (inode.type === 'fifo') this.#losses.add('fifos', path());
    if (inode.mtime.nanoseconds !== 0 || inode.mtime.seconds < 0) this.#losses.add('times', path());
  }
}

function shorten(path: string): string {
  const text = Buffer.from(path, 'latin1').toString();
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
