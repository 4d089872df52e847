/**
 * Marks that tell who made a file: machine, process and that process's start. With them the leftovers of a dead
 * process are told from the work of a living one, also after its number was given to somebody else.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** `host-pid-start`: letters, digits and two dashes, safe in file names. */
export type ProcessMark = string;

const MARK = /^([0-9a-f]{8})-(\d{1,10})-(\d{1,20})$/;

let own: ProcessMark | undefined;
let here: string | undefined;

/** The mark of this process; the same in all its threads. */
export function processMark(): ProcessMark {
  own ??= `${host()}-${process.pid}-${startTime(process.pid) ?? 0}`;
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
  const start = startTime(pid);
  if (start !== undefined) return match[3] === '0' || start === match[3];
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What the system calls this run of the machine, from boot to shutdown; empty where it does not say. */
export function bootId(): string {
  return read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim());
}

/** Names this run of this machine; what was taken in another one is gone. */
export function bootMark(): string {
  return createHash('sha256').update(`${hostname()}\0${bootId()}`).digest('hex').slice(0, 16);
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

/** Clock ticks between boot and the start of the process, where `/proc` tells; `undefined` elsewhere. */
function startTime(pid: number): string | undefined {
  const stat = read(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  // The second field, the program's name, may hold spaces and brackets: count from the last closing one.
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return start !== undefined && /^\d+$/.test(start) ? start : undefined;
}

function read(from: () => string): string {
  try {
    return from();
  } catch {
    return '';
  }
}
