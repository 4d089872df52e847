/** What a test registry remembers of the requests it got: the counters that tests assert on. */
import type { RequestKind } from './registry-route.js';

/** Which of the registry's servers a request came to. Each has a port, and so an origin, of its own. */
export type Origin = 'registry' | 'storage' | 'token';

/** One request, in the order of arrival. The numbers are final once `done`. */
export interface RequestRecord {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly origin: Origin;
  readonly kind: RequestKind;
  readonly repository?: string | undefined;
  /** Tag, digest or upload id. */
  readonly reference?: string | undefined;
  /** As they came, lower-case names; secrets included. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Counts the connections in the order they were opened; requests of one connection share a number. */
  readonly connection: number;
  /** The status that was sent; 0 while there is none. */
  status: number;
  /** Bytes of the request's body that have come. */
  bytesReceived: number;
  /** Bytes of the body that were handed to the connection. */
  bytesSent: number;
  /** The answer has ended, whole or not. */
  done: boolean;
}

/** Sums over the requests since the start or the last `reset`. */
export class RequestLog {
  /** Every request in the order of arrival. */
  readonly requests: RequestRecord[] = [];
  /** Requests that brought an `Authorization` header to an origin it was not meant for. */
  readonly leaked: RequestRecord[] = [];
  /** What went wrong inside the registry, for instance a fault's header that cannot be sent; the connection broke. */
  readonly errors: unknown[] = [];

  readonly #waiting = new Set<() => void>();
  readonly #open = new Set<RequestRecord>();
  #most = 0;

  /** The largest number of requests for blobs that were under way at a time, at the registry and behind redirects. */
  get mostBlobsAtOnce(): number {
    return this.#most;
  }

  /** Adds a request; the registry calls it. */
  add(record: RequestRecord): void {
    this.requests.push(record);
    if (record.kind === 'blob' || record.kind === 'storage') this.#open.add(record);
    this.#most = Math.max(this.#most, this.#open.size);
    this.changed();
  }

  /** Marks the answer of a request as ended; the registry calls it. */
  end(record: RequestRecord): void {
    record.done = true;
    this.#open.delete(record);
    this.changed();
  }

  /** Tells those who wait that a record has changed; the registry calls it. */
  changed(): void {
    for (const look of this.#waiting) look();
  }

  /**
   * Waits until `condition` holds; it is looked at now, and whenever a request comes, bytes leave or an answer ends.
   * Rejects with what it throws, or with the signal's reason when that aborts first.
   */
  until(condition: (log: this) => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.#waiting.delete(look);
        signal?.removeEventListener('abort', leave);
        settle();
      };
      const leave = (): void => end(() => reject(signal?.reason));
      const look = (): void => {
        try {
          if (condition(this)) end(resolve);
        } catch (error) {
          end(() => reject(error));
        }
      };
      if (signal?.aborted === true) {
        leave();
        return;
      }
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.add(look);
      look();
    });
  }

  /** Body bytes sent in all. */
  get bytesSent(): number {
    return this.requests.reduce((sum, record) => sum + record.bytesSent, 0);
  }

  /** The requests of a kind, and of a tag or digest if one is given. */
  of(kind: RequestKind, reference?: string): RequestRecord[] {
    return this.requests.filter(
      (record) => record.kind === kind && (reference === undefined || record.reference === reference),
    );
  }

  /** Body bytes sent of one blob, from the registry and from where it redirects to. */
  bytesOf(digest: string): number {
    return this.requests
      .filter((record) => record.reference === digest && (record.kind === 'blob' || record.kind === 'storage'))
      .reduce((sum, record) => sum + record.bytesSent, 0);
  }

  /** Forgets every request; those under way are no longer counted. */
  reset(): void {
    this.requests.length = 0;
    this.leaked.length = 0;
    this.errors.length = 0;
    this.#open.clear();
    this.#most = 0;
  }
}
