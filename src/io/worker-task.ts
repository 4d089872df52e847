/** The worker's side of a pool: take a task, answer it; errors cross the border with their codes. */
import { parentPort } from 'node:worker_threads';
import { type ErrorCode, type ErrorDetail, RootfsError, systemErrorCode } from '../errors.js';

/** What a pool sends: one task, and the flag that tells it to stop. */
export interface TaskMessage<Task> {
  readonly task: Task;
  readonly flag: Int32Array;
}

/** What comes back: a result or an error. */
export interface TaskAnswer<Result> {
  readonly result?: Result | undefined;
  readonly error?: CrossingError | undefined;
}

/** An error as plain values. */
export interface CrossingError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** The code of a `RootfsError`. */
  readonly code?: ErrorCode | undefined;
  readonly detail?: ErrorDetail | undefined;
  /** The code of a system error. */
  readonly errno?: string | undefined;
  readonly cause?: CrossingError | undefined;
}

/** Whether a task was told to stop. */
export function isStopped(flag: Int32Array): boolean {
  return Atomics.load(flag, 0) !== 0;
}

/** Throws when a task was told to stop. Whoever stopped it knows the reason: see `isStopError`. */
export function throwIfStopped(flag: Int32Array): void {
  if (isStopped(flag))
    throw new RootfsError('ERR_INTERNAL', 'task: it was told to stop', { detail: { stopped: true } });
}

/** Whether an error says no more than that a task was told to stop. */
export function isStopError(error: unknown): boolean {
  return error instanceof RootfsError && error.code === 'ERR_INTERNAL' && error.detail['stopped'] === true;
}

/** Serves the tasks of a pool in this worker, one after the other. The entry file of a pool calls it once. */
export function serveTasks<Task, Result>(handle: (task: Task, flag: Int32Array) => Result | Promise<Result>): void {
  const port = parentPort;
  if (port === null) throw new RootfsError('ERR_INTERNAL', 'serveTasks: called outside a worker');
  port.on('message', async ({ task, flag }: TaskMessage<Task>) => {
    let answer: TaskAnswer<Result>;
    try {
      answer = { result: await handle(task, flag) };
    } catch (error) {
      answer = { error: packError(error) };
    }
    port.postMessage(answer);
  });
}

/** An error as plain values, ready to be sent. */
export function packError(error: unknown): CrossingError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack } = error;
  const cause = error.cause === undefined ? {} : { cause: packError(error.cause) };
  if (error instanceof RootfsError)
    return { name, message, stack, code: error.code, detail: { ...error.detail }, ...cause };
  const errno = systemErrorCode(error);
  return { name, message, stack, ...(errno === undefined ? {} : { errno }), ...cause };
}

/** The error that was packed: a `RootfsError` again if it was one, with its stack. */
export function reviveError(packed: CrossingError): Error {
  const cause = packed.cause === undefined ? {} : { cause: reviveError(packed.cause) };
  const error =
    packed.code === undefined
      ? Object.assign(new Error(packed.message, cause), packed.errno === undefined ? {} : { code: packed.errno })
      : new RootfsError(packed.code, packed.message, { detail: packed.detail ?? {}, ...cause });
  if (packed.stack !== undefined) error.stack = packed.stack;
  return error;
}
