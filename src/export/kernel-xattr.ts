/** Extended attributes that the kernel reads itself: what it takes for one, and the ids in them. */
import type { IdKind } from './id-map.js';

/** Bytes of a capability by the revision in its last header byte. The first cannot be set any more, but is read. */
const CAPABILITY_BYTES: ReadonlyMap<number | undefined, number> = new Map([
  [1, 12],
  [2, 20],
  [3, 24],
]);
/** Where the third has the root of the user namespace that it is for. */
const CAPABILITY_ROOT = 20;
const ACL_VERSION = 2;
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
/** Owner, group and others, which a mode tells as well. */
const MODE_ENTRIES = 3;
/** The tags of ACL entries, each as the letter that stands for it in `ACL_ORDER`. */
const ACL_TAGS: ReadonlyMap<number, string> = new Map([
  [0x01, 'u'],
  [0x02, 'U'],
  [0x04, 'g'],
  [0x08, 'G'],
  [0x10, 'm'],
  [0x20, 'o'],
]);
/** What stands for no user and no group: the kernel takes no ACL that names one. */
const NO_ID = 0xffff_ffff;
/** Tags of entries with an id, and whose it is. */
const NAMED: ReadonlyMap<string, IdKind> = new Map([
  ['U', 'uid'],
  ['G', 'gid'],
]);
/** Owner, users, group, groups, mask, others; named users and groups need a mask. */
const ACL_ORDER = /^(?:ugm?o|uU*gG*mo)?$/;

/**
 * Whether the kernel would take this value where it gives the attribute a meaning: capabilities and ACLs. It refuses to
 * set others; in a finished image it finds them too late, and refuses to run or to open the file.
 */
export function isKernelXattr(name: string, value: Buffer): boolean {
  if (name === 'security.capability') return CAPABILITY_BYTES.get(value[3]) === value.length;
  return !name.startsWith('system.posix_acl_') || isAcl(value);
}

/**
 * Whether the kernel keeps nothing of this ACL where it is set: it has no entries, or it is an access ACL that says no
 * more than a mode. Tools of file system images refuse it, or write one that can be listed and not read.
 */
export function isVoidAcl(name: string, value: Buffer): boolean {
  if (!name.startsWith('system.posix_acl_') || !isAcl(value)) return false;
  const entries = (value.length - ACL_HEADER_BYTES) / ACL_ENTRY_BYTES;
  return entries === 0 || (entries === MODE_ENTRIES && name.endsWith('_access'));
}

/**
 * The attribute with other ids: those of users and groups in an ACL, that of a user namespace's root in a capability. What
 * names none, or is none that the kernel takes, is given back as it is.
 *
 * @param idOf What an id becomes.
 */
export function withIds(name: string, value: Buffer, idOf: (kind: IdKind, id: number) => number): Buffer {
  const capability = name === 'security.capability';
  if (!(capability || name.startsWith('system.posix_acl_')) || !isKernelXattr(name, value)) return value;
  const changed = Buffer.from(value);
  const change = (kind: IdKind, at: number): unknown => changed.writeUInt32LE(idOf(kind, value.readUInt32LE(at)), at);
  if (capability) {
    if (value[3] === 3) change('uid', CAPABILITY_ROOT);
    return changed;
  }
  for (let at = ACL_HEADER_BYTES; at < value.length; at += ACL_ENTRY_BYTES) {
    const kind = NAMED.get(ACL_TAGS.get(value.readUInt16LE(at)) ?? '');
    if (kind !== undefined) change(kind, at + 4);
  }
  return changed;
}

function isAcl(value: Buffer): boolean {
  const entries = (value.length - ACL_HEADER_BYTES) / ACL_ENTRY_BYTES;
  if (!Number.isInteger(entries) || entries < 0 || value.readUInt32LE(0) !== ACL_VERSION) return false;
  let order = '';
  for (let at = ACL_HEADER_BYTES; at < value.length; at += ACL_ENTRY_BYTES) {
    const tag = ACL_TAGS.get(value.readUInt16LE(at)) ?? '?';
    order += tag;
    if (value.readUInt16LE(at + 2) > 7) return false;
    if (NAMED.has(tag) && value.readUInt32LE(at + 4) === NO_ID) return false;
  }
  return ACL_ORDER.test(order);
}
