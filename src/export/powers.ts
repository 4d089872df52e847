/** What this process may do to files: change owners, make devices. Asked once, before anything is planned. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { processStatus } from '../io/process-status.js';
import { type IdMap, mapId } from './id-map.js';

/** The powers of this process. */
export interface Powers {
  /** Root outside of any user namespace: whoever runs as this expects everything kept. */
  readonly root: boolean;
  /** The effective user and group id. */
  readonly uid: number;
  readonly gid: number;
  /** Bits of the permission mask: what a new file does not get. */
  readonly umask: number;
  /** Whether a file may be given to this user and group. An ordinary user stands for root and gives to nobody. */
  mayOwn(uid: number, gid: number): boolean;
  /** Whether a file of this group may have the setgid bit: the kernel clears it silently where it may not. */
  maySetgid(gid: number): boolean;
  /** A name for these powers, fit for a file: `root`, `uid-1000`. Who has another writes the same image otherwise. */
  readonly writer: string;
}

const CAP_CHOWN = 1n << 0n;
const CAP_FSETID = 1n << 4n;

/** Reads the powers of this process. Where /proc says nothing, the effective user id alone decides. */
export function readPowers(): Powers {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  const umask = readUmask();
  const uidMaps = readKernelMap('/proc/self/uid_map');
  const gidMaps = readKernelMap('/proc/self/gid_map');
  const outermost = uidMaps === undefined || coversAll(uidMaps);
  const capabilities = readCapabilities();
  const mayChown = capabilities === undefined ? uid === 0 : (capabilities & CAP_CHOWN) !== 0n;
  const keepsSetgid = capabilities === undefined ? uid === 0 : (capabilities & CAP_FSETID) !== 0n;
  const root = uid === 0 && outermost;
  return {
    root,
    uid,
    gid,
    umask,
    mayOwn: (wantedUid, wantedGid) => {
      if (!mayChown) return uid === 0 && wantedUid === uid && wantedGid === gid;
      return mapId(uidMaps, wantedUid) !== undefined && mapId(gidMaps, wantedGid) !== undefined;
    },
    maySetgid: (wanted) => keepsSetgid || wanted === gid || (process.getgroups?.().includes(wanted) ?? false),
    writer: outermost && mayChown === (uid === 0) ? nameOf(uid) : `${nameOf(uid)}-${mark(mayChown, uidMaps, gidMaps)}`,
  };
}

function nameOf(uid: number): string {
  return uid === 0 ? 'root' : `uid-${uid}`;
}

/** What is unusual, in few letters: a user namespace has its ids, and who runs may have more or less than is common. */
function mark(...facts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 8);
}

function coversAll(maps: readonly IdMap[]): boolean {
  return maps.some((map) => map.containerId === 0 && map.hostId === 0 && map.size === 0xffff_ffff);
}

function readKernelMap(path: string): IdMap[] | undefined {
  try {
    return readFileSync(path, 'latin1')
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter((fields) => fields.length === 3)
      .map(([containerId = 0, hostId = 0, size = 0]) => ({ containerId, hostId, size }));
  } catch {
    return undefined;
  }
}

function readCapabilities(): bigint | undefined {
  const hex = processStatus('CapEff');
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}

/** Node can only read the mask by writing it, twice: a file that another thread makes in between has no mask at all. */
function readUmask(): number {
  const octal = processStatus('Umask');
  return octal === undefined ? process.umask() : Number.parseInt(octal, 8);
}
