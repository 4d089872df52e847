/** A pipe or a device that bytes are written to as they come. */
import { constants, createWriteStream, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { patiently } from '../io/patiently.js';

/**
 * Opens what `outputPlace` calls a stream. A pipe without a reader is waited for, and one that is full, without a thread
 * that hangs in the system: such a one hears no abort, and not even `process.exit` ends it.
 *
 * @throws the system's errors; the signal's reason
 */
export async function openOutputStream(path: string, signal: AbortSignal | undefined): Promise<Writable> {
  if (!(await stat(path)).isFIFO()) return createWriteStream(path, { flags: 'w' });
  const open = (): number => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const fd = await patiently(open, { notNow: ['ENXIO'], everyMs: 20, signal });
  const { Socket } = await import('node:net');
  return new Socket({ fd, readable: false, writable: true });
}
