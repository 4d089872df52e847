/** Turns a merged tree into the plan of an unpack: who is written, with which owner and attributes, and what is lost. */
import { RootfsError } from '../errors.js';
import { isEntryName } from '../io/directory.js';
import { Turns } from '../io/turns.js';
import type { LayerTar } from '../rootfs/merge.js';
import { type Inode, type MergedTree, nodePath, type TreeNode } from '../rootfs/tree.js';
import { mapId, outsideMaps } from './id-map.js';
import { checkDataPlace } from './layer-files.js';
import { LossList } from './loss-list.js';
import { OwnershipRecords, ROOTLESS_XATTR, rootlessXattr } from './ownership-file.js';
import { selectNodes } from './path-filter.js';
import type { Powers } from './powers.js';
import { countSkipped } from './skipped-xattr.js';
import type { UnpackLimits, UnpackOptions } from './unpack-options.js';
import {
  BatchBuilder,
  detailOf,
  type Place,
  type PlannedEntry,
  packSegment,
  pathOf,
  type UnpackPlan,
  type Xattr,
} from './unpack-plan.js';
import { WrittenXattrs } from './written-xattrs.js';

/** A plan, and what became clear while it was made. */
export interface PlannedUnpack {
  readonly plan: UnpackPlan;
  readonly records: OwnershipRecords;
  readonly losses: LossList;
  readonly skippedXattrs: ReadonlyMap<string, number>;
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
export type Marks = ReadonlyMap<TreeNode, readonly Xattr[]>;

/**
 * Plans an unpack. Reads no data and writes nothing.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_LAYER_INVALID` (a name or a place in a tar that cannot be),
 *   `ERR_OPTION_INVALID` (an owner outside the id maps); the signal's reason
 */
export async function planUnpack(input: PlanInput): Promise<PlannedUnpack> {
  const planner = new Planner(input);
  const turns = new Turns(input.options.signal);
  for (const _ of planner.walk()) if (turns.due(true)) await turns.take();
  return planner.finish();
}

/** Entries, and attributes of these, between two looks at the clock. */
const TURN_STEPS = 1024;

class Planner {
  readonly #input: PlanInput;
  readonly #selected: ReadonlySet<TreeNode> | undefined;
  readonly #written: WrittenXattrs;
  readonly #contents = new BatchBuilder();
  readonly #links = new BatchBuilder();
  readonly #directories = new BatchBuilder();
  readonly #records = new OwnershipRecords();
  readonly #losses = new LossList();
  readonly #skipped = new Map<string, number>();
  readonly #firstNames = new Map<Inode, Place>();
  #entries = 0;
  /** Since others last had their turn. */
  #steps = 0;
  #dataBytes = 0;

  constructor(input: PlanInput) {
    this.#input = input;
    this.#selected = selectNodes(input.tree, input.options);
    this.#written = new WrittenXattrs(!input.powers.root, input.options);
  }

  /** Plans all that is below the root; yields now and then. */
  *walk(): Generator<void, void, void> {
    const { root } = this.#input.tree;
    if (root.inode.type !== 'directory' || root.children === undefined) {
      throw new RootfsError('ERR_LAYER_INVALID', `the root is a ${root.inode.type}; expected a directory`);
    }
    yield* this.#walk(root, '', 0);
  }

  /** The plan, once all was walked. */
  finish(): PlannedUnpack {
    const rootSegment = packSegment('', [this.#entry(this.#input.tree.root)]);
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
  *#walk(node: TreeNode, path: string, depth: number): Generator<void, void, void> {
    const contents: PlannedEntry[] = [];
    const links: PlannedEntry[] = [];
    const directories: PlannedEntry[] = [];
    for (const child of node.children?.values() ?? []) {
      if (this.#selected?.has(child) === false) continue;
      const childPath = pathOf({ directory: path, name: child.name });
      this.#checkName(child, depth, childPath.length);
      if (child.inode.type === 'directory') {
        yield* this.#walk(child, childPath, depth + 1);
        directories.push(this.#entry(child));
      } else {
        const entry = this.#nonDirectory(child, path);
        (entry.type === 'link' ? links : contents).push(entry);
      }
      this.#steps += 1 + (child.inode.xattrs?.size ?? 0);
      if (this.#steps < TURN_STEPS) continue;
      this.#steps = 0;
      yield;
    }
    contents.sort((a, b) => a.layer - b.layer || a.tarOffset - b.tarOffset);
    this.#contents.add(path, contents);
    this.#links.add(path, links);
    this.#directories.add(path, directories);
  }

  #checkName(node: TreeNode, depth: number, pathBytes: number): void {
    const { limits } = this.#input;
    const exceeded =
      ++this.#entries > limits.maxEntries
        ? `more than ${limits.maxEntries} entries; raise maxEntries`
        : depth > limits.maxDepth
          ? `more than ${limits.maxDepth} directories deep; raise maxDepth`
          : pathBytes > limits.maxPathBytes
            ? `a path of more than ${limits.maxPathBytes} bytes; raise maxPathBytes`
            : undefined;
    if (exceeded !== undefined) {
      const shown = shorten(nodePath(node));
      throw new RootfsError('ERR_LIMIT_EXCEEDED', `${shown}: ${exceeded} if the image is to be trusted`, {
        detail: { path: shown },
      });
    }
    if (!isEntryName(node.name)) {
      throw new RootfsError(
        'ERR_LAYER_INVALID',
        `${JSON.stringify(shorten(nodePath(node)))} is not a path below the root`,
      );
    }
  }

  #nonDirectory(node: TreeNode, directory: string): PlannedEntry {
    const { inode } = node;
    const from = inode.links > 1 ? this.#firstNames.get(inode) : undefined;
    if (from !== undefined) {
      const { rdevMajor, rdevMinor } = inode;
      const detail = { linkFrom: from, linkType: inode.type, rdevMajor, rdevMinor };
      // Each name of a file has a line: who reads the side file looks for paths.
      if (!this.#input.powers.root) this.#records.addName(nodePath(node), pathOf(from));
      return planned(node, { type: 'link', mode: inode.mode & 0o7777, uid: -1, gid: -1, detail });
    }
    if (inode.links > 1) this.#firstNames.set(inode, { directory, name: node.name });
    if (inode.type === 'file') this.#countData(node);
    if (inode.type === 'symlink' && (inode.linkTarget ?? '\0').includes('\0')) {
      throw new RootfsError('ERR_LAYER_INVALID', `${shorten(nodePath(node))}: a symbolic link without a usable target`);
    }
    return this.#entry(node);
  }

  #countData(node: TreeNode): void {
    const { inode } = node;
    const { limits, layers } = this.#input;
    this.#dataBytes += inode.size;
    if (!(inode.size >= 0) || this.#dataBytes > limits.maxDataBytes) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${shorten(nodePath(node))}: files of more than ${limits.maxDataBytes} bytes together; raise maxDataBytes if the image is to be trusted`,
      );
    }
    checkDataPlace(inode, layers, () => shorten(nodePath(node)));
  }

  #entry(node: TreeNode): PlannedEntry {
    const { inode } = node;
    const { powers, native } = this.#input;
    const shownPath = (): string => nodePath(node);
    const xattrs = this.#xattrs(inode, shownPath);
    const added: Xattr[] = [...(this.#input.marks?.get(node) ?? [])];
    const owner = this.#owner(inode, shownPath, added);
    let mode = inode.mode & 0o7777;
    if (owner === 'foreign') {
      if (inode.uid !== powers.uid) mode &= ~0o4000;
      if (inode.gid !== powers.gid) mode &= ~0o2000;
    }
    if (inode.type === 'directory' && !powers.root && (mode & 0o700) !== 0o700) {
      this.#records.add({ path: nodePath(node), mode });
      mode |= 0o700;
    }
    if (!native) this.#noteMissingNative(inode, shownPath);
    const { uid, gid } = typeof owner === 'object' ? owner : OWN;
    if ((mode & 0o2000) !== 0 && gid >= 0 && !powers.maySetgid(gid)) {
      if (powers.root) this.#losses.add('modes', shownPath());
      else this.#records.add({ path: shownPath(), mode });
    }
    const detail = detailOf(inode, added.length === 0 ? xattrs : [...xattrs, ...added]);
    return planned(node, { type: inode.type, mode, uid, gid, detail });
  }

  #xattrs(inode: Inode, path: () => string): readonly Xattr[] {
    const { kept, never } = this.#written.of(inode, () => JSON.stringify(shorten(path())));
    countSkipped(this.#skipped, never);
    if (this.#input.native) return kept;
    if (kept.length > 0) {
      if (this.#input.powers.root) this.#losses.add('xattrs', path());
      else this.#records.add({ path: path(), xattrs: kept });
    }
    return [];
  }

  /** The owner to set; 'own': none needs to be set; 'foreign': none is set though the image has another. */
  #owner(
    inode: Inode,
    path: () => string,
    added: Xattr[],
  ): { readonly uid: number; readonly gid: number } | 'own' | 'foreign' {
    const { options, powers, native } = this.#input;
    if (options.sameOwner === false) return 'foreign';
    const uid = mapId(options.uidMap, inode.uid);
    const gid = mapId(options.gidMap, inode.gid);
    if (uid === undefined) throw outsideMaps('uid', inode.uid, JSON.stringify(shorten(path())));
    if (gid === undefined) throw outsideMaps('gid', inode.gid, JSON.stringify(shorten(path())));
    if (powers.mayOwn(uid, gid)) return uid === powers.uid && gid === powers.gid ? 'own' : { uid, gid };
    if (powers.root) {
      this.#losses.add('owners', path());
      return 'foreign';
    }
    if (inode.uid === 0 && inode.gid === 0) return 'own';
    this.#records.add({ path: path(), uid: inode.uid, gid: inode.gid });
    if (native && (inode.type === 'file' || inode.type === 'directory')) {
      added.push([ROOTLESS_XATTR, rootlessXattr(inode.uid, inode.gid).toString('latin1')]);
    }
    return 'own';
  }

  #noteMissingNative(inode: Inode, path: () => string): void {
    // Without root what cannot be made is recorded, with its time.
    const isDevice = inode.type === 'char' || inode.type === 'block';
    const special = inode.type === 'fifo' ? 'fifos' : isDevice ? 'devices' : undefined;
    if (special !== undefined && !this.#input.powers.root) return;
    if (special !== undefined) this.#losses.add(special, path());
    if (inode.mtime.nanoseconds !== 0 || inode.mtime.seconds < 0) this.#losses.add('times', path());
  }
}

const OWN = { uid: -1, gid: -1 };

type Decided = Pick<PlannedEntry, 'type' | 'mode' | 'uid' | 'gid' | 'detail'>;

/** One literal, no spreads: this runs for every entry. */
function planned({ name, inode }: TreeNode, { type, mode, uid, gid, detail }: Decided): PlannedEntry {
  const { mtime, size, data } = inode;
  const { seconds, nanoseconds } = mtime;
  const layer = data?.layer ?? -1;
  return { name, type, mode, uid, gid, seconds, nanoseconds, size, layer, tarOffset: data?.tarOffset ?? 0, detail };
}

function shorten(path: string): string {
  const text = Buffer.from(path, 'latin1').toString();
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
