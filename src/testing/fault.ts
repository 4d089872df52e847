/**
 * Faults: what a test registry does wrong, when, and how often. Data only; `fault-script.ts` decides which strike.
 *
 * A fault is one object: which requests (`on`, `method`, `repository`, `reference`), which of them (`nth`, `times`),
 * and what happens (`do` with its fields). Several may strike one request: those that replace the answer first, then
 * those that change it, then those that disturb its way.
 */
import type { RequestKind } from './registry-route.js';

/** Which requests a fault strikes. What is absent does not matter. */
export interface FaultMatch {
  readonly on: RequestKind | 'any' | readonly RequestKind[];
  readonly method?: string | undefined;
  readonly repository?: string | undefined;
  /** A tag or a digest, as it stands in the request's path. */
  readonly reference?: string | undefined;
  /** The first matching request that is struck, counted from 1. Default 1. */
  readonly nth?: number | undefined;
  /** How many are struck from there on. Default: all. */
  readonly times?: number | undefined;
  /** Strikes before credentials are looked at, also those requests that have none. Default: only after. */
  readonly beforeAuth?: boolean | undefined;
}

/** Faults that stand in for the answer; the request has no effect on what the registry holds. */
export type InsteadFault =
  /** Any answer: an object becomes JSON. */
  | {
      readonly do: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>> | undefined;
      readonly body?: string | Uint8Array | object | undefined;
    }
  /** 429 unless told, with `Retry-After` in seconds or, with `date`, as the moment so many seconds from now. */
  | {
      readonly do: 'retry-later';
      readonly status?: number | undefined;
      readonly seconds?: number | undefined;
      readonly date?: boolean | undefined;
    }
  /** A web page with this status (200 unless told). */
  | { readonly do: 'html'; readonly status?: number | undefined }
  /** An error body whose entry has a code and nothing else. */
  | { readonly do: 'code-only'; readonly status: number; readonly code: string }
  /** A Docker schema 1 manifest. */
  | { readonly do: 'schema1' }
  /** 401 with the challenge, whatever the credentials; tokens given out so far are void. */
  | { readonly do: 'expire-tokens' }
  /**
   * A redirect, 307 unless told. `storage`: the second origin, which serves the content and answers 400 when an
   * Authorization header arrives. `relative`: a path of the same origin. `loop`: the second origin, for ever.
   * `plain-http`: the second origin without TLS. Or a location verbatim; `null` sends none.
   */
  | {
      readonly do: 'redirect';
      readonly status?: number | undefined;
      readonly to?: 'storage' | 'relative' | 'loop' | 'plain-http' | { readonly location: string | null } | undefined;
      /** How many redirects until the content comes. Default 1. */
      readonly hops?: number | undefined;
    }
  /** The connection ends without an answer, after so many bytes of the request's body (default 0). */
  | { readonly do: 'hang-up'; readonly after?: number | undefined }
  /** The request is read and never answered. */
  | { readonly do: 'silence' };

/** What stands in `Content-Length`: the length that is sent, the one before the change, or nothing (chunked). */
export type DeclaredLength = 'sent' | 'original' | 'none';

/** Faults that change the answer. Those of bodies do not strike HEAD. */
export type ChangeFault =
  /** Headers replaced, added or removed. Without `content-length` the body comes chunked. */
  | {
      readonly do: 'headers';
      readonly set?: Readonly<Record<string, string>> | undefined;
      readonly remove?: readonly string[] | undefined;
    }
  /** So many bytes are missing at the body's end. */
  | { readonly do: 'short'; readonly by: number; readonly declared?: DeclaredLength | undefined }
  /** So many bytes too many at the body's end. */
  | { readonly do: 'long'; readonly by: number; readonly declared?: DeclaredLength | undefined }
  /** The body never ends; chunked. */
  | { readonly do: 'endless' }
  /** One bit of the byte at this place of the body is wrong; the middle unless told. */
  | { readonly do: 'flip'; readonly at?: number | undefined }
  /**
   * Requests with a `Range` only. `ignored`: 200 and everything. `refused`: 416. `no-header`: 206 without
   * `Content-Range`. `shifted`: another range than was asked for, and says so. `wrong-bytes`: the bytes of another
   * range. `wrong-total`: the total is off by one. `unknown-total`: `/*`, which is allowed. `to-the-end`: more than
   * was asked for, and says so.
   */
  | {
      readonly do: 'range';
      readonly as:
        | 'ignored'
        | 'refused'
        | 'no-header'
        | 'shifted'
        | 'wrong-bytes'
        | 'wrong-total'
        | 'unknown-total'
        | 'to-the-end';
    }
  /**
   * Lists. `loop`: the next page is the first. `absolute`: links with scheme and host. `other-origin`: links to the
   * second origin. `json-next`: `next` in the body, no `Link`. `endless`: always one more name (no more referrers) and one more page.
   * `null`: the list is null.
   */
  | {
      readonly do: 'paging';
      readonly as: 'loop' | 'absolute' | 'other-origin' | 'json-next' | 'endless' | 'null';
    };

/** Faults of the way to the client. Those of bodies do not strike HEAD. */
export type DeliveryFault =
  /** The connection ends after so many bytes of the body; with `per: 'connection'` of all bodies on it together. */
  | { readonly do: 'cut'; readonly after: number; readonly per?: 'response' | 'connection' | undefined }
  /** Nothing more comes after so many bytes of the body; the connection stays open. */
  | { readonly do: 'stall'; readonly after: number }
  /** So many bytes (default 1) at a time, with a pause after each. */
  | { readonly do: 'drip'; readonly everyMs: number; readonly bytes?: number | undefined }
  /** A cap for bodies, shared by all answers of one connection. */
  | { readonly do: 'slow'; readonly bytesPerSecond: number }
  /** A pause before the answer, in milliseconds. */
  | { readonly do: 'latency'; readonly ms: number };

/** One fault of the script. */
export type Fault = FaultMatch & (InsteadFault | ChangeFault | DeliveryFault);
