/** Who a container runs as: the image's `User`, looked up in the image's own passwd and group. */
import { RootfsError } from '../errors.js';

/** A user as the kernel needs it. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; the primary one comes first, so that no right a group is denied comes back. */
  readonly additionalGids: readonly number[];
  /** The home directory of passwd; `/` where there is no entry. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** What engines accept as a user or group id. */
const MAX_ID = 0x7fff_ffff;
/** As many groups as Linux gives one process. */
const MAX_GROUPS = 65_536;
/** The command has no option for it: there, what the image says is all there is. */
const ADVICE =
  'give another (the option user) that the image knows, or a number; rootfs unpack writes the files without a config';

/**
 * Resolves `user`, `uid`, `user:group`, `uid:gid` and their mixtures; nothing means root. What is a number is an id,
 * never a name. With a group given there are no other groups; without, passwd and group say.
 *
 * @param passwd Content of the image's /etc/passwd, `undefined` where it has none; `group` likewise.
 * @throws RootfsError `ERR_NOT_FOUND` for a name without an entry, `ERR_CONFIG_INVALID` for an id out of range,
 *   `ERR_LIMIT_EXCEEDED` for more groups than a process can have
 */
export function resolveUser(spec: string, passwd: string | undefined, group: string | undefined): ResolvedUser {
  const colon = spec.indexOf(':');
  const userText = colon < 0 ? spec : spec.slice(0, colon);
  const groupText = colon < 0 ? '' : spec.slice(colon + 1);
  const entry = findUser(userText, passwd ?? '');
  const uid = entry?.uid ?? (userText === '' ? 0 : numericId('user', 'passwd', userText, spec));
  const groups = groupEntries(group ?? '');
  if (groupText !== '') {
    const wanted = wholeNumber(groupText);
    const found = groups.find(({ name, gid }) => (wanted === undefined ? name === groupText : gid === wanted));
    const gid = found?.gid ?? numericId('group', 'group', groupText, spec);
    return { uid, gid, additionalGids: [gid], home: entry?.home ?? '/' };
  }
  const gid = entry?.gid ?? 0;
  const member = groups.filter(({ members }) => entry !== undefined && members.includes(entry.name));
  const additionalGids = [...new Set([gid, ...member.map((one) => one.gid)])];
  if (additionalGids.length > MAX_GROUPS) {
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `user ${JSON.stringify(spec)}: expected at most ${MAX_GROUPS} groups, found ${additionalGids.length}; name one group`,
      { detail: { spec, groups: additionalGids.length } },
    );
  }
  return { uid, gid, additionalGids, home: entry?.home ?? '/' };
}

function findUser(text: string, passwd: string): PasswdEntry | undefined {
  const wanted = text === '' ? 0 : wholeNumber(text);
  return passwdEntries(passwd).find(({ name, uid }) => (wanted === undefined ? name === text : uid === wanted));
}

function numericId(kind: 'user' | 'group', file: string, text: string, spec: string): number {
  const id = wholeNumber(text);
  if (isId(id)) return id;
  const user = JSON.stringify(spec);
  if (id === undefined) {
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${user}: unable to find ${kind} ${text}: no matching entries in ${file} file; ${ADVICE}`,
      { detail: { spec, [kind]: text } },
    );
  }
  throw new RootfsError(
    'ERR_CONFIG_INVALID',
    `${user}: uids and gids must be in range 0-${MAX_ID}, found ${text}; ${ADVICE}`,
    { detail: { spec, [kind]: text } },
  );
}

/** A number however long or negative: one that is out of range must not be looked up as a name, which may be root's. */
function wholeNumber(text: string): number | undefined {
  return /^[+-]?[0-9]+$/.test(text) ? Number(text) : undefined;
}

function isId(id: number | undefined): id is number {
  return id !== undefined && id >= 0 && id <= MAX_ID;
}

/** Lines whose ids are no numbers are not read: other readers take them for root. */
function passwdEntries(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split('\n')) {
    const [name = '', , uidText = '', gidText = '', , home = ''] = line.trim().split(':');
    const uid = wholeNumber(uidText);
    const gid = wholeNumber(gidText);
    if (isId(uid) && isId(gid)) {
      // No environment can hold a NUL.
      entries.push({ name, uid, gid, home: home === '' || home.includes('\0') ? '/' : home });
    }
  }
  return entries;
}

/** A group that is commented out has no members. Neither has one without any: a user may have an empty name. */
function groupEntries(text: string): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const line of text.split('\n')) {
    const [name = '', , gidText = '', members = ''] = line.trim().split(':');
    const gid = wholeNumber(gidText);
    if (isId(gid) && !name.startsWith('#')) {
      entries.push({ name, gid, members: members.split(',').filter((member) => member !== '') });
    }
  }
  return entries;
}
