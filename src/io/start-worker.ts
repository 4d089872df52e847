/** The one way to start a thread. */
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { type RootfsError, wrapSystemError } from '../errors.js';

/** How Node tells what the system refused a thread before its first line ran: in words alone. */
const REFUSED_START = /^Worker initialization failure: (E[A-Z0-9]+)$/;

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

/** What the system refuses a worker that starts, as files to open: no second try changes that. `undefined` for any other end of one. */
export function startRefusal(cause: unknown, name: string): RootfsError | undefined {
  const { message = '', syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  const code = REFUSED_START.exec(message)?.[1];
  const error = code === undefined ? cause : Object.assign(new Error(message, { cause }), { code });
  if (code === undefined && syscall === undefined) return undefined;
  return wrapSystemError(
    error,
    `worker ${name}`,
    syscall === 'uv_cwd' ? 'change into a folder that is there' : undefined,
  );
}
