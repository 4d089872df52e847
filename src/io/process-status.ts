/** What the kernel tells of this process in `/proc/self/status`: reading it changes nothing. */
import { readFileSync } from 'node:fs';

/** A field of digits: the effective capabilities in hex, the mask of modes in octal; `undefined` where nobody tells. */
export function processStatus(field: 'CapEff' | 'Umask'): string | undefined {
  try {
    return new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
