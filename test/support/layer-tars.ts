/** Layers written by hand, and merged trees as plain text: for tests of the merge. */
import { type LayerTar, type MergeOptions, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { walkTree } from '../../src/rootfs/walk-tree.js';
import { writeTars } from './layers.js';
import { END, member, type RawHeader } from './raw-tar.js';
import { tempDir } from './temp-dir.js';

interface Ends {
  after(fn: () => void): void;
}

export const dir = (name: string, fields: RawHeader = {}): Buffer =>
  member({ name, type: '5', mode: '0000755\0', ...fields });
export const file = (name: string, data = '', fields: RawHeader = {}): Buffer => member({ name, ...fields }, data);
export const symlink = (name: string, linkname: string): Buffer => member({ name, type: '2', linkname });
export const link = (name: string, linkname: string): Buffer => member({ name, type: '1', linkname });
export const whiteout = (name: string): Buffer => {
  const slash = name.lastIndexOf('/') + 1;
  return file(`${name.slice(0, slash)}.wh.${name.slice(slash)}`);
};
export const opaque = (name: string): Buffer => file(name === '' ? '.wh..wh..opq' : `${name}/.wh..wh..opq`);

/** Writes layers, base first, each a list of members. */
export function layerTars(t: Ends, ...layers: readonly (readonly Buffer[])[]): LayerTar[] {
  return writeTars(
    tempDir(t, 'layers'),
    layers.map((members) => Buffer.concat([...members, END])),
  );
}

/** Merges layers given as lists of members. */
export function merged(t: Ends, options: MergeOptions, ...layers: readonly (readonly Buffer[])[]): Promise<MergedTree> {
  return mergeLayers(layerTars(t, ...layers), options);
}

/**
 * One line a name: path, then `dir`, `file <layer>+<bytes>`, `-> target`, …; hard links are `= first name`. Modes are
 * told where they are not what the helpers above write.
 */
export function outline(tree: MergedTree): string[] {
  const first = new Map<object, string>();
  return [...walkTree(tree)].slice(1).map(({ path, node }) => {
    const { inode } = node;
    const earlier = inode.links > 1 ? first.get(inode) : undefined;
    if (earlier !== undefined) return `${path} = ${earlier}`;
    first.set(inode, path);
    const mode = inode.mode.toString(8);
    if (inode.type === 'directory')
      return `${path}/${mode === '755' ? '' : ` ${mode}`}${node.layer < 0 ? ' (made)' : ''}`;
    if (inode.type === 'symlink') return `${path} -> ${inode.linkTarget}`;
    if (inode.type === 'file') return `${path} ${node.layer}+${inode.size}${mode === '644' ? '' : ` ${mode}`}`;
    return `${path} ${inode.type}`;
  });
}
