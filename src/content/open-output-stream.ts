/** A pipe or a device that bytes are written to as they come. */
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { openFifo } from '../io/open-fifo.js';

/**
 * Opens what `outputPlace` calls a stream. A pipe without a reader is waited for, and one that is full; an abort is
 * heard meanwhile.
 *
 * @throws the system's errors; the signal's reason
 */
export async function openOutputStream(path: string, signal: AbortSignal | undefined): Promise<Writable> {
  if (!(await stat(path)).isFIFO()) return createWriteStream(path, { flags: 'w' });
  const fd = await openFifo(path, signal);
  const { Socket } = await import('node:net');
  return new Socket({ fd, readable: false, writable: true });
}
