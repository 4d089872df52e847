/** The most memory this process has had, in bytes. Not `resourceUsage`: that remembers the process that started this one. */
import { readFileSync } from 'node:fs';

/** Reads the high-water mark of this program's own memory. Linux. */
export function peakMemory(): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  if (kibibytes === undefined) throw new Error('/proc/self/status has no VmHWM');
  return Number(kibibytes) * 1024;
}
