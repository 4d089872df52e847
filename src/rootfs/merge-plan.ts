/** What one layer asks for: its members sorted into whiteouts and entries, before anything is applied. */
import { heldBytes } from '../tar/held-bytes.js';
import type { TarEntry } from '../tar/tar-entry.js';
import { layerInvalid, mergeLimitExceeded } from './merge-error.js';
import type { MergeLimits } from './merge-limits.js';
import { type MergeInode, MergeNode } from './merge-tree.js';
import type { Timestamp } from './tree.js';

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const AUFS = '.wh..wh.';
/** Linux's PATH_MAX without the NUL at the end: no symbolic link can be longer. */
const MAX_TARGET_BYTES = 4_095;
const AUFS_LINKS = '.wh..wh.plnk';

/** An entry that is no whiteout. */
export interface PlannedEntry {
  /** The name as the layer has it. */
  readonly name: string;
  /** What it is; a hard link has none of its own. */
  readonly inode: MergeInode | undefined;
  /** A hard link's target. */
  readonly target: string;
}

/** A whiteout: of one name in a directory, or (opaque, without a name) of all a directory holds. */
export interface PlannedWhiteout {
  /**
   * Its path from the root, components joined by single slashes; the root's is empty. One text and not a list: there may
   * be a million of them, each two hundred components deep.
   */
  readonly directory: string;
  readonly name: string | undefined;
  /** How many entries of its layer stand before it. */
  readonly after: number;
}

/** A layer, ready to be applied. */
export class LayerPlan {
  readonly layer: number;
  readonly entries: PlannedEntry[] = [];
  readonly whiteouts: PlannedWhiteout[] = [];
  /** Files that AUFS kept for the sake of hard links, by path. They have no name in the tree. */
  readonly aufsLinks = new Map<string, MergeNode>();
  /** What hard links point at that a whiteout behind them in the layer takes away. */
  readonly hiddenTargets = new Map<PlannedEntry, MergeNode>();
  /** Hard links whose targets lie behind symbolic links of lower layers, where these are not followed. */
  readonly targetsBehindLinks = new Set<PlannedEntry>();
  #lastTime: Timestamp = { seconds: 0, nanoseconds: 0 };

  /** What the members of this layer and of those before it cost to hold. */
  heldBytes: number;
  #lastXattrs: TarEntry['xattrs'];

  /** @param heldBytes What the layers before this one cost to hold. */
  constructor(layer: number, heldBytes: number) {
    this.layer = layer;
    this.heldBytes = heldBytes;
  }

  /**
   * Takes the next member of the layer.
   *
   * @throws RootfsError `ERR_LAYER_INVALID` for a name with `..`, a whiteout of nothing that can be named, a type no
   *   root file system holds, an owner or a device number beyond what Linux has; `ERR_LIMIT_EXCEEDED`
   */
  take(entry: TarEntry, limits: MergeLimits): void {
    const { name } = entry;
    this.heldBytes += heldBytes(entry, this.#lastXattrs);
    this.#lastXattrs = entry.xattrs;
    if (this.heldBytes > limits.maxMetadataBytes) {
      const what = 'bytes of names and attributes in all layers';
      throw mergeLimitExceeded(name, what, 'maxMetadataBytes', limits.maxMetadataBytes, this.heldBytes);
    }
    if (name.includes('..') && name.split('/').includes('..')) {
      throw layerInvalid(name, 'name: expected one inside the root, found ".." in it');
    }
    if (name.includes(WHITEOUT) && this.#takeWhiteout(name, entry, limits)) return;
    if (entry.type === 'volume-label') return;
    if (entry.type === 'hardlink') {
      if (entry.linkname === '') throw layerInvalid(name, 'hard link: expected a target, found none');
      this.entries.push({ name, inode: undefined, target: entry.linkname });
      return;
    }
    this.entries.push({ name, inode: this.#inode(entry), target: '' });
  }

  #takeWhiteout(name: string, entry: TarEntry, limits: MergeLimits): boolean {
    const components = name.split('/').filter((part) => part !== '' && part !== '.');
    const last = components.pop() ?? '';
    if (components[0]?.startsWith(AUFS) === true) {
      // below AUFS's own folders, which lie in the root, there is nothing to see, but one holds the data of hard links
      if (components.length === 1 && components[0] === AUFS_LINKS && entry.type === 'file') {
        this.aufsLinks.set(`${AUFS_LINKS}/${last}`, new MergeNode(last, undefined, this.#inode(entry), this.layer));
      }
      return true;
    }
    if (!last.startsWith(WHITEOUT)) return false;
    if (components.length > limits.maxDepth) {
      throw mergeLimitExceeded(name, 'depth', 'maxDepth', limits.maxDepth, components.length);
    }
    const directory = components.join('/');
    if (last === OPAQUE) {
      this.whiteouts.push({ directory, name: undefined, after: this.entries.length });
    } else if (!last.startsWith(AUFS)) {
      const hidden = last.slice(WHITEOUT.length);
      if (hidden === '' || hidden === '.' || hidden === '..') {
        throw layerInvalid(name, 'whiteout: expected the name of what it hides, found none');
      }
      this.whiteouts.push({ directory, name: hidden, after: this.entries.length });
    }
    return true;
  }

  #inode(entry: TarEntry): MergeInode {
    const { name, type } = entry;
    if (type === 'other' || type === 'hardlink' || type === 'volume-label') {
      const found = JSON.stringify(entry.typeflag);
      throw layerInvalid(name, `type: expected one that a root file system can hold, found tar type ${found}`);
    }
    if (entry.uid >= 0xffffffff || entry.gid >= 0xffffffff) {
      throw layerInvalid(name, `owner: expected ids below 4294967295, found ${entry.uid}:${entry.gid}`);
    }
    const device = type === 'char' || type === 'block';
    if (device && (entry.devmajor > 0xfff || entry.devminor > 0xfffff)) {
      throw layerInvalid(name, `device: expected at most 4095:1048575, found ${entry.devmajor}:${entry.devminor}`);
    }
    if (type === 'symlink' && (entry.linkname === '' || entry.linkname.includes('\0'))) {
      throw layerInvalid(name, 'symbolic link: expected a target, found none');
    }
    if (type === 'symlink' && entry.linkname.length > MAX_TARGET_BYTES) {
      const found = entry.linkname.length;
      throw layerInvalid(name, `symbolic link: expected a target of at most ${MAX_TARGET_BYTES} bytes, found ${found}`);
    }
    const { extents, dataOffset: tarOffset } = entry;
    return {
      type,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtime: this.#time(entry.mtime),
      size: entry.size,
      data: entry.size > 0 ? { layer: this.layer, tarOffset, extents } : undefined,
      linkTarget: type === 'symlink' ? entry.linkname : undefined,
      rdevMajor: device ? entry.devmajor : undefined,
      rdevMinor: device ? entry.devminor : undefined,
      xattrs: entry.xattrs,
      links: 0,
    };
  }

  /** Neighbours often share a time: one object for a run of equal ones. */
  #time(time: Timestamp): Timestamp {
    const last = this.#lastTime;
    if (time.seconds === last.seconds && time.nanoseconds === last.nanoseconds) return last;
    this.#lastTime = time;
    return time;
  }
}
