/** What stands on disk, path by path, for comparisons. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { loadNative } from '../../src/io/native.js';

/** One path on disk; `links` names the first path (by bytes) of its inode where there are several. */
export interface DiskEntry {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly rdev?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
  readonly linkOf?: string;
  readonly nlink?: number;
}

// A Map: biome 2.6 rewrites octal keys of an object literal to wrong numbers.
const TYPES: ReadonlyMap<number, string> = new Map([
  [0o100000, 'file'],
  [0o040000, 'directory'],
  [0o120000, 'symlink'],
  [0o020000, 'char'],
  [0o060000, 'block'],
  [0o010000, 'fifo'],
  [0o140000, 'socket'],
]);

/**
 * Lists everything below `root` (which is `.`), paths as latin1. Content is read unless `content` is false; how many
 * names an inode has is told when `nlink` is true.
 */
export function listTree(
  root: string,
  { content = true, nlink = false }: { readonly content?: boolean; readonly nlink?: boolean } = {},
): Record<string, DiskEntry> {
  const found: Record<string, DiskEntry> = {};
  const inodes = new Map<string, string>();
  const visit = (path: Buffer, shown: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const type = TYPES.get(Number(stat.mode) & 0o170000) ?? 'unknown';
    const key = `${stat.dev}:${stat.ino}`;
    const first = inodes.get(key);
    if (type !== 'directory' && stat.nlink > 1n && first === undefined) inodes.set(key, shown);
    const xattrs = readXattrs(path);
    found[shown] = {
      type,
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtime: String(stat.mtimeNs),
      ...(type === 'file' ? { size: Number(stat.size) } : {}),
      ...(type === 'file' && content ? { sha256: createHash('sha256').update(readFileSync(path)).digest('hex') } : {}),
      ...(type === 'symlink' ? { target: readlinkSync(path, { encoding: 'buffer' }).toString('latin1') } : {}),
      ...(type === 'char' || type === 'block' ? { rdev: String(stat.rdev) } : {}),
      ...(xattrs === undefined ? {} : { xattrs }),
      ...(first === undefined ? {} : { linkOf: first }),
      ...(nlink ? { nlink: Number(stat.nlink) } : {}),
    };
    if (type !== 'directory') return;
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const name of names) {
      const child = Buffer.concat([path, Buffer.from('/'), name]);
      visit(child, shown === '.' ? name.toString('latin1') : `${shown}/${name.toString('latin1')}`);
    }
  };
  visit(Buffer.from(root), '.');
  return found;
}

/** The names of extended attributes; none where the file system has none at all. */
function listXattrs(path: Buffer): Buffer[] {
  try {
    return loadNative()?.listXattrs(path) ?? [];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTSUP') return [];
    throw error;
  }
}

function readXattrs(path: Buffer): Record<string, string> | undefined {
  const native = loadNative();
  const names = listXattrs(path);
  if (names.length === 0) return undefined;
  return Object.fromEntries(
    names
      .map((name) => [name.toString('latin1'), native?.getXattr(path, name)?.toString('hex') ?? ''] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
