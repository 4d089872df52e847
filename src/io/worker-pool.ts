/** A pool of worker threads over one entry file: started when there is work, kept, and no reason to stay alive. */
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { RootfsError } from '../errors.js';
import { startRefusal, startWorker } from './start-worker.js';
import { reviveError, type TaskAnswer, type TaskMessage } from './worker-task.js';

/** Options of a pool. */
export interface WorkerPoolOptions {
  /** Most workers at once; by default one for each core this process may use. */
  readonly size?: number | undefined;
  /** Most heap of one worker in MiB; 128 by default. Buffers are not counted. */
  readonly heapMb?: number | undefined;
  /** Shown by debuggers and in messages. */
  readonly name: string;
}

/** Options of one task. */
export interface TaskOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Shared memory whose first element tells the task to stop when it is not 0; the task polls it. Tasks that work on
   * one thing together share it. By default each task has its own.
   */
  readonly flag?: Int32Array | undefined;
}

interface Job<Task, Result> {
  readonly task: Task;
  readonly flag: Int32Array;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

interface Member<Task, Result> {
  readonly worker: Worker;
  job: Job<Task, Result> | undefined;
}

/** How long an aborted task may take to notice it before its worker is ended, in milliseconds. */
const ABORT_GRACE_MS = 2000;

/**
 * Runs tasks in worker threads, at most `size` at once, in the order they come.
 *
 * The entry file calls `serveTasks` (see `worker-task.ts`). A worker that dies fails its task with `ERR_INTERNAL`; the
 * next task gets a new one. Idle workers do not keep the process alive.
 */
export class WorkerPool<Task, Result> {
  readonly #entry: URL;
  readonly #options: WorkerPoolOptions;
  readonly #members = new Set<Member<Task, Result>>();
  readonly #queue: Job<Task, Result>[] = [];
  #size: number;

  constructor(entry: URL, options: WorkerPoolOptions) {
    this.#entry = entry;
    this.#options = options;
    this.#size = options.size ?? availableParallelism();
  }

  /** Most workers at once. */
  get size(): number {
    return this.#size;
  }

  /** Raises the number of workers to at least `size`; never lowers it. */
  grow(size: number): void {
    this.#size = Math.max(this.#size, size);
  }

  /** How many tasks would start at once if they came now. */
  get idle(): number {
    let busy = 0;
    for (const member of this.#members) if (member.job !== undefined) busy++;
    return Math.max(0, this.#size - busy - this.#queue.length);
  }

  /**
   * Starts workers ahead of their tasks, up to `count` in all: starting one takes longer than a small task.
   *
   * @throws RootfsError `ERR_PERMISSION`, `ERR_FILESYSTEM` where the system or Node gives no thread
   */
  warm(count: number): void {
    while (this.#members.size < Math.min(count, this.#size)) this.#start().worker.unref();
  }

  /**
   * Runs a task. When this has settled, the worker has let go of it.
   *
   * @throws what the task threw, the signal's reason, or RootfsError `ERR_INTERNAL` when the worker died,
   *   `ERR_PERMISSION`, `ERR_FILESYSTEM` where there is no worker and none can be started
   */
  run(task: Task, options: TaskOptions = {}): Promise<Result> {
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const flag = options.flag ?? new Int32Array(new SharedArrayBuffer(4));
      const job: Job<Task, Result> = {
        task,
        flag,
        signal,
        resolve(result) {
          signal?.removeEventListener('abort', abort);
          resolve(result);
        },
        reject(error) {
          signal?.removeEventListener('abort', abort);
          reject(signal?.aborted === true ? signal.reason : error);
        },
      };
      const abort = (): void => this.#abort(job);
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  /** Ends the workers that have no task; those that work are kept. A later task starts new ones where it needs them. */
  async close(): Promise<void> {
    const idle = [...this.#members].filter(({ job }) => job === undefined);
    // At once: a task that comes meanwhile must not be given to one that ends.
    for (const member of idle) this.#members.delete(member);
    await Promise.all(idle.map(({ worker }) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let member: Member<Task, Result> | undefined;
      try {
        member = this.#free();
      } catch (error) {
        // Those that run take what waits; where there is none, nobody ever would.
        if (this.#members.size === 0) for (const job of this.#queue.splice(0)) job.reject(error);
        return;
      }
      if (member === undefined) return;
      const job = this.#queue.shift();
      if (job === undefined) return;
      member.job = job;
      member.worker.ref();
      const message: TaskMessage<Task> = { task: job.task, flag: job.flag };
      try {
        member.worker.postMessage(message);
      } catch (error) {
        this.#settle(member, () => job.reject(error));
      }
    }
  }

  #free(): Member<Task, Result> | undefined {
    for (const member of this.#members) if (member.job === undefined) return member;
    return this.#members.size < this.#size ? this.#start() : undefined;
  }

  #start(): Member<Task, Result> {
    const worker = startWorker(this.#entry, this.#options.name, {
      maxOldGenerationSizeMb: this.#options.heapMb ?? 128,
      maxYoungGenerationSizeMb: 8,
    });
    const member: Member<Task, Result> = { worker, job: undefined };
    this.#members.add(member);
    worker.on('message', (answer: TaskAnswer<Result>) => {
      const { job } = member;
      if (job === undefined) return;
      this.#settle(member, () => {
        if (answer.error === undefined) job.resolve(answer.result as Result);
        else job.reject(reviveError(answer.error));
      });
    });
    const died = (reason: string, cause?: unknown): void => {
      this.#members.delete(member);
      const { job } = member;
      member.job = undefined;
      const { name } = this.#options;
      job?.reject(
        startRefusal(cause, name) ??
          new RootfsError('ERR_INTERNAL', `worker ${name}: it ended before its task (${reason}); try again`, {
            detail: { worker: name },
            cause,
          }),
      );
      this.#dispatch();
    };
    worker.on('error', (error) => died(error.message, error));
    worker.on('exit', (code) => died(`exit code ${code}`));
    return member;
  }

  #settle(member: Member<Task, Result>, tell: () => void): void {
    member.job = undefined;
    member.worker.unref();
    tell();
    this.#dispatch();
  }

  #abort(job: Job<Task, Result>): void {
    Atomics.store(job.flag, 0, 1);
    Atomics.notify(job.flag, 0);
    const queued = this.#queue.indexOf(job);
    if (queued >= 0) {
      this.#queue.splice(queued, 1);
      job.reject(job.signal?.reason);
      return;
    }
    const timer = setTimeout(() => {
      for (const member of this.#members) if (member.job === job) void member.worker.terminate();
    }, ABORT_GRACE_MS);
    timer.unref();
  }
}
