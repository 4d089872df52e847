/**
 * One member of a tar archive, as its headers tell.
 *
 * The room `tar` knows the tar format and nothing else: header blocks, PAX and GNU extensions, sparse maps, where
 * data lies. It must not know layers, whiteouts, images or stores. Names are bytes; in memory each stands as a latin1
 * string, one character a byte (`Buffer.from(name, 'latin1')` gives the bytes back).
 */

/**
 * What a member is. `other` is a type that no reader of root file systems should meet (a GNU dump directory, a
 * continued volume…): its `typeflag` tells which.
 */
export type TarEntryType =
  | 'file'
  | 'hardlink'
  | 'symlink'
  | 'char'
  | 'block'
  | 'directory'
  | 'fifo'
  | 'volume-label'
  | 'other';

/** A moment: whole seconds since the epoch (may be negative) and nanoseconds, 0 to 999,999,999, after it. */
export interface TarTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** A run of a sparse file's data: `length` bytes at `fileOffset` in the file, at `tarOffset` in the archive. */
export interface TarExtent {
  readonly fileOffset: number;
  readonly tarOffset: number;
  readonly length: number;
}

/** A member of a tar archive. All offsets count bytes from the start of the uncompressed archive. */
export interface TarEntry {
  /** Where its first block lies: an extension header's when it has any. */
  readonly offset: number;
  /** The name, verbatim: bytes as latin1. No slash is stripped, no `..` is resolved. */
  readonly name: string;
  readonly type: TarEntryType;
  /** The type byte of the header as a character; a NUL is given as `'0'`. */
  readonly typeflag: string;
  /** Permission, setuid, setgid and sticky bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** User and group name; bytes as latin1, empty when there is none. */
  readonly uname: string;
  readonly gname: string;
  readonly mtime: TarTime;
  readonly atime?: TarTime | undefined;
  readonly ctime?: TarTime | undefined;
  /** Length of the file's content in bytes, holes included; 0 for everything that is not a file. */
  readonly size: number;
  /** Target of a hard or symbolic link, verbatim: bytes as latin1; empty for everything else. */
  readonly linkname: string;
  /** Device numbers; 0 for everything that is no device. */
  readonly devmajor: number;
  readonly devminor: number;
  /** Where the data begins. */
  readonly dataOffset: number;
  /** Bytes of data in the archive, without padding: `size` of a file that is not sparse. What is no file may have some too. */
  readonly dataBytes: number;
  /** A sparse file's data: sorted, without overlap; what lies between reads as zeros. Absent for other files. */
  readonly extents?: readonly TarExtent[] | undefined;
  /**
   * Extended attributes: names are bytes as latin1. ACLs that the archive has as text stand among them under the keys of
   * their records, `SCHILY.acl.access` and its like. Absent when there are none.
   */
  readonly xattrs?: ReadonlyMap<string, Buffer> | undefined;
  /**
   * The member's own PAX records, keys as latin1, values raw. Absent when there are none. What a global header says
   * stands in the fields and attributes above, and in no member's records.
   */
  readonly pax?: ReadonlyMap<string, Buffer> | undefined;
}
