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

/** What a directory's entry points at, as far as the entry tells. */
export interface DirectoryTarget {
  /** The number of the inode. */
  readonly nid: number;
  readonly fileType: number;
}

/**
 * Writes one block of a directory, whose bytes must be 0.
 *
 * @param out Where to: the same bytes twice, for numbers and for names.
 * @param targets What the entries point at, by the indexes of `directory.names`.
 */
export function writeDirectoryBlock(
  out: { readonly view: DataView; readonly buffer: Buffer },
  at: number,
  directory: PackedDirectory,
  block: number,
  targets: readonly DirectoryTarget[],
): void {
  const { names, blocks } = directory;
  const first = blocks[block] as number;
  const end = blocks[block + 1] ?? names.length;
  const nameAt = (end - first) * DIRENT_BYTES;
  let text = '';
  for (let index = first; index < end; index += 1) {
    const name = names[index] as string;
    const { nid, fileType } = targets[index] as DirectoryTarget;
    writeDirent(out.view, at + (index - first) * DIRENT_BYTES, nid, nameAt + text.length, fileType);
    text += name;
  }
  // One call for all names: each costs more than the bytes.
  out.buffer.write(text, at + nameAt, 'latin1');
}
