/**
 * Marks that tell who made a file: machine, process and that process's start. With them the leftovers of a dead
 * process are told from the work of a living one, also after its number was given to somebody else. A second mark tells
 * the thread: one that is terminated leaves its work lying as a process does, while its process lives on.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemErrorCode } from '../errors.js';

/** `host-pid-start`: letters, digits and two dashes, safe in file names. */
export type ProcessMark = string;

const MARK = /^([0-9a-f]{8})-(\d{1,10})-(\d{1,20})$/;

/** `thread-start`, as the system numbers threads; empty where it does not tell. */
export type ThreadMark = string;

const THREAD = /^(\d{1,10})-(\d{1,20})$/;

let own: ProcessMark | undefined;
let ownThread: ThreadMark | undefined;
let here: string | undefined;

/** The mark of this process; the same in all its threads. */
export function processMark(): ProcessMark {
  own ??= `${host()}-${process.pid}-${startIn(processStat(process.pid)) ?? 0}`;
  return own;
}

/**
 * Whether the process that made a mark still runs: `false` only when that is certain, `undefined` when it ran on
 * another machine (or in another process namespace) or when `mark` is no mark.
 */
export function isMarkAlive(mark: ProcessMark): boolean | undefined {
  if (mark === own) return true;
  const match = MARK.exec(mark);
  if (match === null || match[1] !== host()) return undefined;
  const pid = Number(match[2]);
  const stat = processStat(pid);
  const start = startIn(stat);
  if (start !== undefined) return !hasEnded(stat) && (match[3] === '0' || start === match[3]);
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The number of the process that made a mark on this machine; `undefined` for one of another, and for what is no mark. */
export function markPid(mark: ProcessMark): number | undefined {
  const match = MARK.exec(mark);
  return match !== null && match[1] === host() ? Number(match[2]) : undefined;
}

/** The mark of the thread that asks, beside `processMark`; empty where `/proc` does not tell, as on macOS. */
export function threadMark(): ThreadMark {
  ownThread ??= readThread();
  return ownThread;
}

/**
 * Whether a thread of a living process still runs; `undefined` where that cannot be said: the system tells nothing of
 * threads, or of that process, or the mark is none.
 */
export function isThreadAlive(mark: ProcessMark, thread: ThreadMark): boolean | undefined {
  const pid = MARK.exec(mark)?.[2];
  const match = THREAD.exec(thread);
  if (pid === undefined || match === null) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/task/${match[1]}/stat`, 'latin1');
    return !hasEnded(stat) && startIn(stat) === match[2];
  } catch (error) {
    // Other errors say nothing: this process may have too many files open.
    const isGone = systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ESRCH';
    return isGone && existsSync(`/proc/${pid}/task`) ? false : undefined;
  }
}

/** What the system calls this run of the machine, from boot to shutdown; empty where it does not say. */
export function bootId(): string {
  return read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
}

/**
 * Names this run of this machine; what was taken in another one is gone. A machine that is given another name runs on,
 * and a container has a name of its own: the name counts only where nothing else tells.
 */
export function bootMark(): string {
  const boot = bootId();
  return createHash('sha256')
    .update(boot === '' ? hostname() : boot)
    .digest('hex')
    .slice(0, 16);
}

/** Process numbers mean something only within one machine and one process namespace: both go into the mark. */
function host(): string {
  here ??= readHost();
  return here;
}

function readHost(): string {
  const parts = [hostname(), read(() => readFileSync('/etc/machine-id', 'latin1').trim())];
  parts.push(read(() => readlinkSync('/proc/self/ns/pid')));
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 8);
}

/** What `/proc` tells of a process; empty where it does not. */
function processStat(pid: number): string {
  return read(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

/** The link is read by the thread that asks. Where `/proc` shows another namespace, its numbers are of no use. */
function readThread(): ThreadMark {
  const [pid, , thread] = read(() => readlinkSync('/proc/thread-self')).split('/');
  if (pid !== String(process.pid) || thread === undefined) return '';
  const start = startIn(read(() => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')));
  return start === undefined ? '' : `${thread}-${start}`;
}

/** The start in what `/proc` tells of a process or a thread, in clock ticks since boot. */
function startIn(stat: string): string | undefined {
  const start = fieldsIn(stat)[19];
  return start !== undefined && /^\d+$/.test(start) ? start : undefined;
}

/**
 * Whether `/proc` tells of one that has ended, and that its parent has not asked for: in a container whose first process
 * does not look after others, nobody ever does.
 */
function hasEnded(stat: string): boolean {
  const fields = fieldsIn(stat);
  // The first thread may have ended while others work: their number is told too.
  return /^[ZX]$/.test(fields[0] ?? '') && Number(fields[17]) <= 1;
}

/** The fields from the third on. The second, the program's name, may hold spaces and brackets: the last closing one ends it. */
function fieldsIn(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function read(from: () => string): string {
  try {
    return from();
  } catch {
    return '';
  }
}
