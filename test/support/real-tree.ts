/** What really lies in folders, as flat trees. Python tells, since Node sees no extended attributes and no byte names. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type FlatTree, xattrText } from './flat-tree.js';

const script = fileURLToPath(new URL('../../../test/support/list-tree.py', import.meta.url));

type Line = [string, string, number, number, number, string, string, [string, string][], number];

/** The trees below some folders. Modes of symbolic links, which Linux does not have, are 0. */
export function realTrees(folders: readonly string[]): FlatTree[] {
  const output = execFileSync('python3', [script, ...folders], { maxBuffer: 1 << 30, encoding: 'utf8' });
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      const flat: FlatTree = new Map();
      const first = new Map<number, string>();
      for (const [path, type, mode, uid, gid, mtime, value, xattrs, inode] of JSON.parse(line) as Line[]) {
        const group = type === 'directory' ? path : (first.get(inode) ?? path);
        first.set(inode, group);
        flat.set(path, {
          type,
          mode: type === 'symlink' ? 0 : mode,
          owner: `${uid}:${gid}`,
          mtime,
          value,
          xattrs: xattrText(xattrs),
          group,
        });
      }
      return flat;
    });
}
