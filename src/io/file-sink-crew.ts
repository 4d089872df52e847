/** The workers of file sinks: each sink has one of them, which serves several where there are many. */
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import type { SinkAnswer, SinkMessage } from './file-sink-task.js';
import { startWorker } from './start-worker.js';
import { workerEntry } from './worker-entry.js';

/** More write into one file system no faster. */
const MOST_WORKERS = 4;

/** Who hears a worker's answers. */
export interface SinkListener {
  /** One message was answered. */
  answered(answer: SinkAnswer): void;
  /** No more answers come. */
  died(cause: unknown): void;
}

/** One worker. It lives until it is closed, and is no reason to stay alive while it serves nobody. */
export class SinkWorker {
  readonly #worker: Worker;
  readonly #served = new Map<number, { readonly listener: SinkListener; readonly bytes: number }>();
  #isDead = false;

  /** @throws RootfsError as `startWorker` */
  constructor() {
    this.#worker = startWorker(workerEntry('file-sink-worker.js', import.meta.url, 'io'), 'rootfs-file-sink', {
      maxOldGenerationSizeMb: 64,
      maxYoungGenerationSizeMb: 4,
    });
    this.#worker.on('message', (answer: SinkAnswer) => this.#served.get(answer.sink)?.listener.answered(answer));
    this.#worker.on('error', (error) => this.#died(error));
    this.#worker.on('exit', () => this.#died(undefined));
    // Last: to listen is a reason to stay alive.
    this.#worker.unref();
  }

  /** How much the sinks take that it serves, in bytes. */
  get load(): number {
    return [...this.#served.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** @param bytes How much the sink will take. */
  serve(sink: number, listener: SinkListener, bytes: number): void {
    this.#served.set(sink, { listener, bytes: Math.max(bytes, 1) });
    this.#worker.ref();
  }

  /** The sink has done with it. */
  leave(sink: number): void {
    this.#served.delete(sink);
    if (this.#served.size === 0) this.#worker.unref();
  }

  /** @returns false where it is dead */
  post(message: SinkMessage): boolean {
    if (!this.#isDead) this.#worker.postMessage(message);
    return !this.#isDead;
  }

  /** Ends it. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #died(cause: unknown): void {
    this.#isDead = true;
    const place = crew.indexOf(this);
    if (place >= 0) crew.splice(place, 1);
    for (const { listener } of this.#served.values()) listener.died(cause);
  }
}

const crew: SinkWorker[] = [];

/**
 * The worker that has least to take, or a new one where all are busy and there may be more. By bytes, not by sinks: what
 * is largest takes longest, and would take longer yet beside as many others as every other one.
 */
export function sinkWorker(): SinkWorker {
  const [best] = [...crew].sort((a, b) => a.load - b.load);
  if (best !== undefined && (best.load === 0 || crew.length >= Math.min(availableParallelism(), MOST_WORKERS))) {
    return best;
  }
  const started = new SinkWorker();
  crew.push(started);
  return started;
}

/** Starts a worker ahead of the first sink: that takes longer than asking for an image. */
export function warmFileSinks(): void {
  if (crew.length === 0) crew.push(new SinkWorker());
}

/** Ends the workers that serve nobody; the next sinks start others. */
export async function closeFileSinks(): Promise<void> {
  const idle = crew.filter(({ load }) => load === 0);
  for (const worker of idle) crew.splice(crew.indexOf(worker), 1);
  await Promise.all(idle.map((worker) => worker.close()));
}
