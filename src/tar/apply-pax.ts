/**
 * What PAX records say of the next member: its fields, and its extended attributes in two dialects.
 *
 * What star, libarchive and GNU tar have records of their own for is an attribute here as well, so that whoever does not
 * keep it says so: a SELinux label by the name the kernel has for it, ACLs as text by the name of their record.
 */

import { ACL_RECORDS } from './pax-keys.js';
import type { TarDraft } from './read-header.js';
import { readDecimal, readPaxTime } from './read-number.js';
import { printable, tarInvalid, tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';
/** Records that are an attribute without saying so in their key, and its name. */
const RECORDS: ReadonlyMap<string, string> = new Map([
  ...ACL_RECORDS.map((key) => [key, key] as const),
  ['RHT.security.selinux', 'security.selinux'],
]);

/** PAX records made ready: those that set fields, and the extended attributes. */
export interface PaxMeaning {
  readonly fields: ReadonlyMap<string, Buffer>;
  readonly xattrs: ReadonlyMap<string, Buffer> | undefined;
}

const FIELDS: ReadonlySet<string> = new Set([
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'uname',
  'gname',
  'mtime',
  'atime',
  'ctime',
  'SCHILY.devmajor',
  'SCHILY.devminor',
]);

/**
 * Sorts PAX records into those that set fields and extended attributes, `SCHILY.xattr.` before `LIBARCHIVE.xattr.`.
 *
 * @param offset Where the header lies in the archive, for messages.
 * @throws RootfsError `ERR_TAR_INVALID` for an attribute that cannot be decoded, `ERR_LIMIT_EXCEEDED` for too many or
 *   too long ones
 */
export function understandPax(values: ReadonlyMap<string, Buffer>, offset: number, limits: TarLimits): PaxMeaning {
  const fields = new Map<string, Buffer>();
  let xattrs: Map<string, Buffer> | undefined;
  for (const [key, value] of values) {
    if (FIELDS.has(key)) {
      fields.set(key, value);
      continue;
    }
    const schily = key.startsWith(SCHILY);
    const record = RECORDS.get(key);
    if (!schily && record === undefined && !key.startsWith(LIBARCHIVE)) continue;
    // an empty record takes back what was said: there is no such thing as an ACL or a label of no bytes
    if (record !== undefined && value.length === 0) continue;
    const name = record ?? (schily ? key.slice(SCHILY.length) : percentDecoded(key.slice(LIBARCHIVE.length), offset));
    xattrs ??= new Map();
    if (!schily && values.has(SCHILY + name)) continue;
    const bytes = schily || record !== undefined ? value : base64Decoded(value, key, offset);
    if (name === '' || name.includes('\0')) {
      throw tarInvalid(offset, `PAX record ${printable(key)}: expected the name of an extended attribute`, { key });
    }
    if (bytes.length > limits.maxXattrBytes) {
      const what = `extended attribute ${printable(name)}`;
      throw tarLimitExceeded(offset, what, 'maxXattrBytes', limits.maxXattrBytes, bytes.length);
    }
    // a copy: the body of the whole PAX header must not stay in memory for the sake of 20 bytes
    xattrs.set(name, Buffer.from(bytes));
    if (xattrs.size > limits.maxXattrs) {
      throw tarLimitExceeded(offset, 'extended attributes', 'maxXattrs', limits.maxXattrs, xattrs.size);
    }
  }
  return { fields, xattrs };
}

/**
 * Sets the fields of a member from PAX records; an empty value leaves what the header block says.
 *
 * @param except Records that win over these, empty ones too: the member's own, when these are global ones.
 * @throws RootfsError `ERR_TAR_INVALID` when a number or time is none
 */
export function applyPax(draft: TarDraft, meaning: PaxMeaning, offset: number, except?: PaxMeaning): void {
  for (const [key, value] of meaning.fields) {
    if (value.length === 0 || except?.fields.has(key) === true) continue;
    applyField(draft, key, value.toString('latin1'), offset);
  }
  const { xattrs } = meaning;
  if (xattrs === undefined) return;
  draft.xattrs = draft.xattrs === undefined ? xattrs : new Map([...draft.xattrs, ...xattrs]);
}

function applyField(draft: TarDraft, key: string, text: string, offset: number): void {
  const device = draft.type === 'char' || draft.type === 'block';
  switch (key) {
    case 'path':
      draft.name = text;
      break;
    case 'linkpath':
      if (draft.type === 'hardlink' || draft.type === 'symlink') draft.linkname = text;
      break;
    case 'size':
      draft.size = readDecimal(text, key, offset);
      break;
    case 'uid':
      draft.uid = readDecimal(text, key, offset);
      break;
    case 'gid':
      draft.gid = readDecimal(text, key, offset);
      break;
    case 'uname':
      draft.uname = text;
      break;
    case 'gname':
      draft.gname = text;
      break;
    case 'mtime':
      draft.mtime = readPaxTime(text, key, offset);
      break;
    case 'atime':
      draft.atime = readPaxTime(text, key, offset);
      break;
    case 'ctime':
      draft.ctime = readPaxTime(text, key, offset);
      break;
    case 'SCHILY.devmajor':
      if (device) draft.devmajor = readDecimal(text, key, offset);
      break;
    case 'SCHILY.devminor':
      if (device) draft.devminor = readDecimal(text, key, offset);
      break;
  }
}

function percentDecoded(text: string, offset: number): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) {
    throw tarInvalid(offset, `PAX record ${LIBARCHIVE}: expected a percent-encoded name, found ${printable(text)}`);
  }
  return text.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function base64Decoded(value: Buffer, key: string, offset: number): Buffer {
  const text = value.toString('latin1');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw tarInvalid(offset, `PAX record ${printable(key)}: expected base64, found ${printable(text)}`, { key });
  }
  return Buffer.from(text, 'base64');
}
