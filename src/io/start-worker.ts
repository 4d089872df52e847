/** The one way to start a thread. */
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { wrapSystemError } from '../errors.js';

/**
 * Starts a worker.
 *
 * @param name Shown by debuggers and in messages.
 * @throws RootfsError `ERR_PERMISSION` (Node runs with `--permission`), `ERR_FILESYSTEM` (the system has no thread left)
 */
export function startWorker(entry: URL, name: string, resourceLimits: ResourceLimits): Worker {
  try {
    // Flags of the program are not for its workers: with --input-type, as in one-liners, none would start.
    return new Worker(entry, { name, execArgv: [], resourceLimits });
  } catch (error) {
    throw wrapSystemError(error, `worker ${name}`, 'allow this process more threads');
  }
}
