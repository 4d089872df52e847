/** Content that is kept once it was fetched: one local store, filled from whoever is asked first, by one at a time. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { BlobLocation, BlobPath, CallOptions, Distruster, Fetcher, Target } from '../content/content.js';
import { embeddedContent, readVerified } from '../content/fetch-verified.js';
import { retryDistrusted } from '../content/retry-distrusted.js';
import { type ErrorCode, RootfsError } from '../errors.js';
import { eachUntilAborted, throwIfAborted, untilAborted } from '../io/abort.js';
import { Semaphore } from '../io/concurrency.js';
import { discard } from '../io/discard.js';
import { withLock } from '../io/lock.js';
import { SharedCalls } from '../io/shared-call.js';
import { isMismatch } from '../io/verify.js';
import { report, warn } from '../progress.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';

/** Where content comes from when it is not here; `undefined` where nobody may be asked. */
export type Origin = (Fetcher & Partial<Distruster>) | undefined;

/** Options of `CachedContent`. */
export interface CachedContentOptions {
  /** A folder for locks between processes, made when it is needed. Without it only this process is held together. */
  readonly lockFolder?: string | undefined;
  /** Transfers at once. */
  readonly jobs: number;
}

/** Failures of the local store that need not end the work: the content is served, and not kept. */
const NOT_KEPT: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_NO_SPACE', 'ERR_PERMISSION', 'ERR_FILESYSTEM']);

/** One local store and the way into it. Safe for concurrent use. */
export class CachedContent {
  readonly #store: Target & Partial<BlobPath>;
  readonly #lockFolder: string | undefined;
  readonly #transfers: Semaphore;
  readonly #bringing = new SharedCalls<boolean>();
  /** Content whose bytes here were found wrong. */
  readonly #bad = new Set<Digest>();
  readonly #distrusted = new Set<Digest>();
  #gaveUp = false;

  constructor(store: Target & Partial<BlobPath>, options: CachedContentOptions) {
    this.#store = store;
    this.#lockFolder = options.lockFolder;
    this.#transfers = new Semaphore(options.jobs);
  }

  /** Whether content is here, whole as far as its length tells, and not known to be wrong. */
  async has(target: Descriptor, options: CallOptions): Promise<boolean> {
    if (this.#bad.has(target.digest) || !(await this.#store.exists(target, options))) return false;
    const located = await this.#store.blobPath?.(target, options);
    return located === undefined || located.size === target.size;
  }

  /**
   * Makes content be here. What several ask for at once, in this process or in others, is fetched once.
   *
   * @returns false where the store could not keep it (full, read-only); a `warning:raised` event said so, once.
   * @throws what `origin` throws, what the store throws besides that, the signal's reason
   */
  async bring(target: Descriptor, origin: Fetcher & Partial<Distruster>, options: CallOptions): Promise<boolean> {
    if (await this.has(target, options)) return true;
    if (this.#gaveUp) return false;
    // What one repository refuses or does not have, another may give.
    return this.#bringing.join(target.digest, { ...options, by: origin }, (call) =>
      this.#claim(target.digest, call, () => this.#bring(target, origin, call)),
    );
  }

  /**
   * Reads a document of this store, verified. One whose bytes are wrong is reported and fetched again, where there is
   * an origin to ask.
   *
   * @returns `undefined` where it is not here and cannot be brought
   */
  async read(target: Descriptor, origin: Origin, options: CallOptions): Promise<Buffer | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      if (origin === undefined ? !(await this.has(target, options)) : !(await this.bring(target, origin, options))) {
        return undefined;
      }
      try {
        return await readVerified(this.#store, bareDescriptor(target), options);
      } catch (error) {
        if (!isMismatch(error) || attempt > 0) throw error;
        if (origin === undefined) throw damaged(target, error);
        this.#bad.add(target.digest);
        warn(options.onProgress, `${target.digest}: its bytes in the cache are wrong; it is fetched again`);
      }
    }
  }

  /** Opens content of this store, unverified. */
  fetch(target: Descriptor, options: Parameters<Fetcher['fetch']>[1]): Promise<Readable> {
    return this.#store.fetch(target, options);
  }

  /** Where content of this store lies. */
  async blobPath(target: Descriptor, options: CallOptions): Promise<BlobLocation | undefined> {
    return this.#store.blobPath?.(target, options);
  }

  /** Waits until transfers that were aborted have let go of their files and locks. */
  settled(): Promise<void> {
    return this.#bringing.abandonedEnded();
  }

  /** Hears that content from here was wrong: it is fetched anew the next time. @returns false when told twice */
  distrust(target: Descriptor): boolean {
    if (this.#distrusted.has(target.digest)) return false;
    this.#distrusted.add(target.digest);
    this.#bad.add(target.digest);
    return true;
  }

  /** Says once that this store does not keep what it is given; nothing is given to it from then on. */
  tellNotKept(error: Error, { onProgress }: CallOptions): void {
    if (this.#gaveUp) return;
    this.#gaveUp = true;
    warn(onProgress, `the cache cannot keep anything now, going on without: ${error.message}`);
  }

  async #bring(target: Descriptor, origin: Fetcher & Partial<Distruster>, call: CallOptions): Promise<boolean> {
    // Whoever held the lock before may have brought it.
    if (await this.has(target, call)) return true;
    const release = await this.#transfers.acquire(call.signal);
    let hasFailed = false;
    try {
      await retryDistrusted(origin, target, call.onProgress, () => {
        hasFailed = false;
        const content = incoming(target, origin, call, () => {
          hasFailed = true;
        });
        return this.#store.push(bareDescriptor(target), content, call);
      });
      this.#bad.delete(target.digest);
      return true;
    } catch (error) {
      // Where the origin fails, nothing is wrong with the store.
      if (hasFailed || !(error instanceof RootfsError) || !NOT_KEPT.has(error.code)) throw error;
      this.tellNotKept(error, call);
      return false;
    } finally {
      release();
    }
  }

  /** Locks save work and nothing else: where none can be had, the work is done all the same. */
  async #claim<T>(digest: Digest, { signal, onProgress }: CallOptions, work: () => Promise<T>): Promise<T> {
    if (this.#lockFolder === undefined) return work();
    const { algorithm, encoded } = requireVerifiable(digest);
    const path = join(this.#lockFolder, `${algorithm}-${encoded}.lock`);
    let begun = false;
    try {
      await mkdir(this.#lockFolder, { recursive: true });
      return await withLock(
        path,
        () => {
          begun = true;
          return work();
        },
        { signal, onProgress },
      );
    } catch (error) {
      throwIfAborted(signal);
      if (begun) throw error;
      return work();
    }
  }
}

/**
 * Content that is fetched when it is read, and again each time it is; what stands in the descriptor itself is not.
 *
 * @param failed Called where the origin fails.
 */
function incoming(
  target: Descriptor,
  origin: Fetcher,
  options: CallOptions,
  failed: () => void,
): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      const embedded = embeddedContent(target);
      if (embedded !== undefined) return yield embedded;
      const { digest, size } = target;
      let copiedBytes = 0;
      try {
        const content = await untilAborted(origin.fetch(target, options), options.signal, discard);
        for await (const chunk of eachUntilAborted<Uint8Array>(content, options.signal)) {
          yield chunk;
          copiedBytes += chunk.byteLength;
          report(options.onProgress, { type: 'blob:progressed', digest, bytes: size, copiedBytes });
        }
      } catch (error) {
        failed();
        throw error;
      }
    },
  };
}

function damaged(target: Descriptor, cause: RootfsError): RootfsError {
  return new RootfsError(
    cause.code,
    `${target.digest}: its bytes in the cache are wrong, and nobody may be asked for it; run once without --offline but with --cache`,
    { cause, detail: cause.detail },
  );
}
