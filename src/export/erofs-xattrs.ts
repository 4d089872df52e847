/** Extended attributes as EROFS has them: a number for the common prefixes, shared where several inodes have the same. */
import { XATTR_HEADER_BYTES } from './erofs-format.js';

const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
];
const WHOLE_NAMES: ReadonlyMap<string, number> = new Map([
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
]);
const MAX_VALUE_BYTES = 65_535;
const MAX_SHARED = 255;
/** Past this, what an inode has alone goes to the shared area too, so that inodes stay short. */
const MAX_INLINE_BYTES = 16_384;

/** The attributes of one inode, as bytes that follow it. */
export interface InodeXattrs {
  /** What stands after the inode, header included. */
  readonly body: Buffer;
  /** What the inode says of that length. */
  readonly count: number;
}

/**
 * One attribute as bytes: a length, a prefix's number, the rest of the name, the value; padded to four.
 *
 * @returns `undefined` for what EROFS cannot hold: a name of no known prefix or with nothing after it, a value of more
 *   than 65,535 bytes
 */
export function encodeXattr(name: string, value: Uint8Array): Buffer | undefined {
  const whole = WHOLE_NAMES.get(name);
  const prefix = PREFIXES.find(([start]) => name.startsWith(start) && name.length > start.length);
  if (whole === undefined && prefix === undefined) return undefined;
  const rest = prefix === undefined ? '' : name.slice(prefix[0].length);
  if (rest.length > 255 || rest.includes('\0') || value.length > MAX_VALUE_BYTES) return undefined;
  const bytes = Buffer.alloc((4 + rest.length + value.length + 3) & ~3);
  bytes.writeUInt8(rest.length, 0);
  bytes.writeUInt8(whole ?? prefix?.[1] ?? 0, 1);
  bytes.writeUInt16LE(value.length, 2);
  bytes.write(rest, 4, 'latin1');
  bytes.set(value, 4 + rest.length);
  return bytes;
}

/** Collects the attributes of all inodes, then says which are shared. */
export class XattrTable {
  readonly #known = new Map<string, { readonly entry: Buffer; uses: number }>();
  readonly #shared = new Map<string, number>();
  readonly #area: Buffer[] = [];
  #areaBytes = 0;

  /**
   * Counts the attributes of an inode.
   *
   * @returns the same ones to keep, equal ones as one buffer: a thousand of a global header may be on every file
   */
  add(entries: readonly Buffer[]): readonly Buffer[] {
    return entries.map((entry) => {
      const key = entry.toString('latin1');
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, { entry, uses: 1 });
      else known.uses += 1;
      return known?.entry ?? entry;
    });
  }

  /**
   * The bytes that follow an inode. Call it once an inode, after all were added, in the order they are written.
   *
   * @returns `undefined` where even shared they are too many: more than 255 that do not fit beside the inode
   */
  body(entries: readonly Buffer[]): InodeXattrs | undefined {
    const shared: number[] = [];
    const inline: Buffer[] = [];
    let inlineBytes = 0;
    for (const entry of entries) {
      const key = entry.toString('latin1');
      const often = (this.#known.get(key)?.uses ?? 0) > 1;
      const large = inlineBytes + entry.length > MAX_INLINE_BYTES;
      if ((often || large) && shared.length < MAX_SHARED) {
        shared.push(this.#share(key, entry));
      } else {
        inline.push(entry);
        inlineBytes += entry.length;
      }
    }
    const length = XATTR_HEADER_BYTES + 4 * shared.length + inlineBytes;
    const count = (length - XATTR_HEADER_BYTES) / 4 + 1;
    if (count > 0xffff) return undefined;
    const body = Buffer.alloc(length);
    body.writeUInt8(shared.length, 4);
    let at = XATTR_HEADER_BYTES;
    for (const place of shared) at = body.writeUInt32LE(place, at);
    for (const entry of inline) at += entry.copy(body, at);
    return { body, count };
  }

  /** The shared area. It begins at a block; places in it are counted in units of four bytes. */
  area(): Buffer {
    return Buffer.concat(this.#area);
  }

  #share(key: string, entry: Buffer): number {
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const place = this.#areaBytes / 4;
    this.#shared.set(key, place);
    this.#area.push(entry);
    this.#areaBytes += entry.length;
    return place;
  }
}
