/**
 * The side file of an unpack without root: what the file system could not keep.
 *
 * JSON lines, UTF-8. The first line says who unpacked: `{"format":"rootfs-kit.ownership","version":1,"hostUid":1000,
 * "hostGid":1000}`. Every further line is one path and what it should be. A path without a line is as it stands on
 * disk, where the user and the group that unpacked stand for uid 0 and gid 0.
 */
import type { InodeType } from '../rootfs/tree.js';
import type { Xattr } from './unpack-plan.js';

/** What the file system could not keep of one path; absent members are as they stand on disk. */
export interface OwnershipRecord {
  /** From the root, without a leading slash: bytes as latin1; the root's is empty. */
  readonly path: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** The image's mode, where the one on disk had to be another. */
  readonly mode?: number | undefined;
  /** Set where nothing stands on disk for this path: what it would be. */
  readonly absent?: InodeType | undefined;
  readonly rdevMajor?: number | undefined;
  readonly rdevMinor?: number | undefined;
  /** Of what is absent: its time, as seconds and nanoseconds. */
  readonly mtime?: readonly [seconds: number, nanoseconds: number] | undefined;
  /** Of what is absent: the path that it is one file with, where that comes first. As `path`. */
  readonly link?: string | undefined;
  /** Extended attributes that could not be set; names and values are bytes as latin1. */
  readonly xattrs?: readonly Xattr[] | undefined;
}

/** A record as it grows. */
type Known = Omit<OwnershipRecord, 'xattrs'> & { readonly xattrs?: Xattr[] | undefined };

/** The records of one unpack, one for each path. */
export class OwnershipRecords {
  readonly #records = new Map<string, Known>();
  /** Further names of files, and the first name of each. */
  readonly #names = new Map<string, string>();
  /** One of each attribute, by name and value: a thread answers with copies, and every file may lack the same. */
  readonly #xattrs = new Map<string, Map<string, Xattr>>();

  /** Adds to what is known of the path. */
  add(record: OwnershipRecord): void {
    const known = this.#records.get(record.path);
    const xattrs = known?.xattrs ?? [];
    for (const xattr of record.xattrs ?? []) xattrs.push(this.#oneOf(xattr));
    this.#records.set(record.path, { ...known, ...record, xattrs: xattrs.length > 0 ? xattrs : undefined });
  }

  #oneOf(xattr: Xattr): Xattr {
    const [name, value] = xattr;
    const values = this.#xattrs.get(name) ?? new Map<string, Xattr>();
    const one = values.get(value) ?? xattr;
    values.set(value, one);
    this.#xattrs.set(name, values);
    return one;
  }

  /** Adds another name of a file: its line will say what that of the first one says. */
  addName(path: string, first: string): void {
    this.#names.set(path, first);
  }

  /** The paths that do not stand on disk, by bytes. */
  absent(): string[] {
    return [...this.#records.values()].flatMap(({ path, absent }) => (absent === undefined ? [] : [path])).sort();
  }

  /**
   * The text of the side file, in pieces of whole lines. `path` is UTF-8; a path that is not stands in `pathBase64` instead. Members: `uid`,
   * `gid`, `mode` (a number), `absent` with `major` and `minor` for devices, `mtime` (`[seconds, nanoseconds]`) and `link`
   * (the path that it is one file with; `linkBase64`), `xattrs` (name to base64).
   */
  *chunks(host: { readonly uid: number; readonly gid: number }): Generator<string> {
    for (const [path, first] of this.#names) {
      const { uid, gid, mode, xattrs } = this.#records.get(first) ?? {};
      if (uid !== undefined) this.add({ path, uid, gid });
      if (mode !== undefined) this.add({ path, mode });
      if (xattrs !== undefined) this.add({ path, xattrs });
    }
    this.#names.clear();
    const head = { format: 'rootfs-kit.ownership', version: 1, hostUid: host.uid, hostGid: host.gid };
    let chunk = `${JSON.stringify(head)}\n`;
    for (const path of [...this.#records.keys()].sort()) {
      chunk += `${JSON.stringify(toJson(this.#records.get(path) as OwnershipRecord))}\n`;
      if (chunk.length < CHUNK_LENGTH) continue;
      yield chunk;
      chunk = '';
    }
    yield chunk;
  }
}

const CHUNK_LENGTH = 65_536;

function toJson(record: OwnershipRecord): Record<string, unknown> {
  const { uid, gid, mode, absent, rdevMajor: major, rdevMinor: minor, mtime, link, xattrs } = record;
  return {
    ...pathJson('path', record.path),
    uid,
    gid,
    mode,
    absent,
    major,
    minor,
    mtime,
    ...(link === undefined ? {} : pathJson('link', link)),
    // fromEntries makes own properties of every name, `__proto__` included.
    xattrs:
      xattrs === undefined
        ? undefined
        : Object.fromEntries(
            xattrs.map(([name, value]) => [
              Buffer.from(name, 'latin1').toString(),
              Buffer.from(value, 'latin1').toString('base64'),
            ]),
          ),
  };
}

function pathJson(member: string, path: string): Record<string, string> {
  const bytes = Buffer.from(path, 'latin1');
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? { [member]: text } : { [`${member}Base64`]: bytes.toString('base64') };
}

/** The extended attribute that the rootless tools of the field keep an owner in. */
export const ROOTLESS_XATTR = 'user.rootlesscontainers';

/** The value of `ROOTLESS_XATTR`: a protocol buffer with uid as field 1 and gid as field 2, zeros left out. */
export function rootlessXattr(uid: number, gid: number): Buffer {
  return Buffer.from([...varintField(1, uid), ...varintField(2, gid)]);
}

function varintField(field: number, value: number): number[] {
  if (value === 0) return [];
  const out = [field << 3];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
  out.push(rest);
  return out;
}
