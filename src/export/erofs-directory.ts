/** Directories as EROFS has them: names in the order of their bytes, packed into blocks that stand for themselves. */
import { writeDirent } from './erofs-format.js';

const DIRENT_BYTES = 12;

/** A directory's entries, `.` and `..` among them, and how they fall into blocks. */
export interface PackedDirectory {
  readonly names: readonly string[];
  /** The first entry of each block. */
  readonly blocks: readonly number[];
  /** Length of the directory in bytes: whole blocks but for the last. */
  readonly size: number;
}

/** Packs sorted names (bytes as latin1) into blocks. */
export function packDirectory(names: readonly string[], blockSize: number): PackedDirectory {
  const blocks = [0];
  let used = 0;
  for (let at = 0; at < names.length; at += 1) {
    const bytes = DIRENT_BYTES + (names[at] as string).length;
    if (used + bytes > blockSize) {
      blocks.push(at);
      used = 0;
    }
    used += bytes;
  }
  return { names, blocks, size: (blocks.length - 1) * blockSize + used };
}

/** Sorts names by their bytes and puts `.` and `..` where they belong. */
export function directoryNames(names: Iterable<string>): string[] {
  const all = ['.', '..', ...names];
  // Without a function it compares the same way and is faster: latin1 characters are bytes.
  return all.sort();
}

/** What the entries of directories point at, by their positions. */
export interface DirectoryTargets {
  /** The number of the inode. */
  nid(at: number): number;
  fileType(at: number): number;
}

/**
 * Writes one block of a directory, whose bytes must be 0.
 *
 * @param out Where to: the same bytes twice, for numbers and for names.
 * @param directory With the positions of what its names point at.
 */
export function writeDirectoryBlock(
  out: { readonly view: DataView; readonly buffer: Buffer },
  at: number,
  directory: PackedDirectory & { readonly children: readonly number[] },
  block: number,
  targets: DirectoryTargets,
): void {
  const { names, blocks, children } = directory;
  const first = blocks[block] as number;
  const end = blocks[block + 1] ?? names.length;
  const nameAt = (end - first) * DIRENT_BYTES;
  let text = '';
  for (let index = first; index < end; index += 1) {
    const name = names[index] as string;
    const target = children[index] as number;
    const entryAt = at + (index - first) * DIRENT_BYTES;
    writeDirent(out.view, entryAt, targets.nid(target), nameAt + text.length, targets.fileType(target));
    text += name;
  }
  // One call for all names: each costs more than the bytes.
  out.buffer.write(text, at + nameAt, 'latin1');
}
