/** A named pipe, opened for writing. */
import { constants, openSync } from 'node:fs';
import { patiently } from './patiently.js';

/**
 * Opens a named pipe for writing, without blocking: a reader is waited for here, and room later by whoever writes. Left
 * to the system, a thread would hang where it hears of no abort, and not even `process.exit` would end it.
 *
 * @throws the system's errors; the signal's reason
 */
export function openFifo(path: string, signal: AbortSignal | undefined): Promise<number> {
  const open = (): number => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  return patiently(open, { notNow: ['ENXIO'], everyMs: 20, signal });
}
