/**
 * One upload at one endpoint: where it is, how far the registry got, and how it goes on after a failure.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-blobs
 */
import type { CallOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { ApiRequest } from './api-request.js';
import type { Endpoint } from './endpoint.js';
import { isTransient, type RetryBudget, retryable } from './retry-budget.js';
import type { UploadContent } from './upload-content.js';
import {
  cancelUpload,
  checkStored,
  confirmedBytes,
  givenLocation,
  pushScopes,
  takenBytes,
  type UploadContext,
  uploadLocation,
  withDigest,
} from './upload-place.js';
import type { WireResponse } from './wire.js';

/** Refusals after which an upload is tried the other way: in one request with everything, or in a PATCH before an empty PUT. */
const OTHER_WAY = new Set([400, 404, 405, 411, 415, 501]);

/** What more has to be there, in bytes, before failures count anew: an upload that goes on byte by byte is no progress. */
const PROGRESS_BYTES = 64 * 1024;

/** How often an upload whose end was refused is sent once more from its start. */
const MAX_RESTARTS = 1;

/** Statuses of a refused end after which the blob may be there all the same: somebody else's upload came first. */
const MAY_BE_THERE = new Set([400, 404, 409, 410]);

/** With what registries say that a session is gone, or that they lost count of it. */
const LOST_SESSION = new Set(['BLOB_UPLOAD_UNKNOWN', 'BLOB_UPLOAD_INVALID']);

/** What went wrong last, where that may be mended. */
interface Failure {
  readonly error: unknown;
}

/** Brings one blob to one endpoint. */
export class Upload {
  readonly #endpoint: Endpoint;
  readonly #target: Descriptor;
  readonly #content: UploadContent;
  readonly #context: UploadContext;
  readonly #call: CallOptions;
  #location: URL | undefined;
  #offset = 0;
  /** Bytes that PATCH requests have brought: a registry that takes them knows the way. */
  #held = 0;
  #leastPiece = 0;
  /** It goes on from where the registry said that it is: not all count alike. */
  #resumed = false;

  constructor(
    endpoint: Endpoint,
    target: Descriptor,
    content: UploadContent,
    context: UploadContext,
    call: CallOptions,
  ) {
    this.#endpoint = endpoint;
    this.#target = target;
    this.#content = content;
    this.#context = context;
    this.#call = call;
  }

  /** Sends the blob, the other way round where the registry does not take the first one. */
  async send(whole: boolean, piece: number, budget: RetryBudget): Promise<void> {
    try {
      await (whole ? this.#putWhole(budget) : this.#stream(piece, budget));
    } catch (error) {
      const other = error instanceof RegistryError && OTHER_WAY.has(error.status) && this.#content.canReadFrom(0);
      if (!other || this.#location === undefined || this.#held > 0) throw error;
      await this.cancel();
      try {
        await (whole ? this.#stream(piece, budget) : this.#putWhole(budget));
      } catch (again) {
        throw again instanceof RegistryError && OTHER_WAY.has(again.status) ? error : again;
      }
    }
  }

  /** One POST, one PUT with everything. */
  async #putWhole(budget: RetryBudget): Promise<void> {
    if (this.#location === undefined) await this.#start();
    for (;;) {
      try {
        return await this.#commit(this.#target.size);
      } catch (error) {
        if (!isRateLimited(error) || !this.#content.canReadFrom(0)) throw error;
        await budget.next(error);
      }
    }
  }

  /**
   * One POST, PATCH requests of `wanted` bytes each, more where the registry wants more, one empty PUT. Where the PUT
   * fails for a while it is sent again; the bytes are only where the registry does not have them any more.
   */
  async #stream(wanted: number, budget: RetryBudget): Promise<void> {
    if (this.#location === undefined) await this.#start();
    let failure: Failure | undefined;
    for (let restarts = 0; ; ) {
      await this.#sendPieces(wanted, budget, failure);
      await this.#content.verify();
      try {
        await this.#commit(0);
        return;
      } catch (error) {
        failure = undefined;
        if (isTransient(error)) {
          await budget.next(error);
          if (!isRateLimited(error)) failure = { error };
          continue;
        }
        const isLost = isLostSession(error, this.#held);
        const isElsewhere = error instanceof RegistryError && error.code === 'ERR_DIGEST_MISMATCH' && this.#resumed;
        if (!(isLost || isElsewhere) || ++restarts > MAX_RESTARTS || !this.#content.canReadFrom(0)) throw error;
        await budget.next(retryable(error));
        await this.cancel();
        await this.#start();
      }
    }
  }

  /** PATCH requests until the registry holds everything; after a failure it is asked first what it holds. */
  async #sendPieces(wanted: number, budget: RetryBudget, before: Failure | undefined): Promise<void> {
    const { size } = this.#target;
    const piece = Math.max(wanted, this.#leastPiece);
    const step = Math.max(1, Math.min(PROGRESS_BYTES, Math.ceil(size / 16)));
    let failure = before;
    while (this.#offset < size || failure !== undefined) {
      try {
        if (failure !== undefined) await this.#findPlace(failure.error);
        failure = undefined;
        if (this.#offset < size) await this.#patch(Math.min(size, this.#offset + piece), piece < size);
      } catch (error) {
        this.#content.throwIfFailed();
        if (!isRateLimited(error) || !this.#content.canReadFrom(this.#offset)) failure = { error };
        const lost = isLostSession(error, this.#held) || (error instanceof RegistryError && error.status === 416);
        const again = lost && this.#content.canReadFrom(0) ? retryable(error) : error;
        await budget.next(again).catch((spent: unknown) => {
          // One that never took a piece may take everything at once: its own answer tells.
          throw spent === again && this.#held === 0 ? error : spent;
        });
      }
      budget.reached(this.#offset, step);
    }
  }

  /** Tells the registry that this upload will not go on. */
  async cancel(): Promise<void> {
    const location = this.#location;
    this.#location = undefined;
    if (location !== undefined) await cancelUpload(location, this.#endpoint, this.#context, this.#call);
  }

  async #start(): Promise<void> {
    const path = `${this.#endpoint.repository}/blobs/uploads/`;
    this.goOn(await this.#request({ method: 'POST', path, accept: [200, 201, 202, 204] }));
  }

  /** Goes on in the upload that this answer opened. */
  goOn(response: WireResponse): void {
    this.#location = uploadLocation(response, this.#context.subject);
    const least = response.headers.get('oci-chunk-min-length') ?? '';
    this.#leastPiece = /^\d{1,12}$/.test(least) ? Number(least) : 0;
    this.#offset = 0;
    this.#resumed = false;
  }

  async #patch(end: number, inPieces: boolean): Promise<void> {
    const start = this.#offset;
    const response = await this.#request({
      method: 'PATCH',
      path: this.#here(),
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(end - start),
        ...(inPieces || start > 0 ? { 'content-range': `${start}-${end - 1}` } : {}),
      },
      body: () => this.#content.slice(start, end),
      accept: [200, 201, 202, 204],
    });
    if (givenLocation(response) !== undefined) this.#location = uploadLocation(response, this.#context.subject);
    const confirmed = confirmedBytes(response);
    // "0-0" is said of nothing and of one byte, more than was sent by those who count otherwise: the digest decides.
    if (confirmed !== undefined && confirmed > 1 && confirmed < end) {
      throw new RootfsError(
        'ERR_NETWORK',
        `${this.#context.subject.name}: ${response.url.host} holds ${confirmed} bytes after ${end} were sent; push again`,
        { detail: { confirmed, sent: end } },
      );
    }
    this.#offset = end;
    this.#held = end;
  }

  /** After a failure: asks how far the registry got; opens a new session where it knows nothing any more. */
  async #findPlace(cause: unknown): Promise<void> {
    // The session that was to take the place of a lost one could not be opened.
    if (this.#location === undefined) return this.#start();
    let status: WireResponse | undefined;
    try {
      status = await this.#request({ method: 'GET', path: this.#here(), accept: [200, 202, 204] });
    } catch (error) {
      // Only an answer says that the session is gone; silence is the budget's business.
      if (!(error instanceof RegistryError) || isTransient(error)) throw error;
    }
    const confirmed = status === undefined ? takenBytes(cause) : confirmedBytes(status);
    // Where it says that it is, it would not go on: a registry that counts otherwise.
    const isElsewhere = this.#resumed && cause instanceof RootfsError && cause.code === 'ERR_RANGE_INVALID';
    // "0-0" is said of nothing and of one byte: a new session is certain.
    const isUsable = confirmed !== undefined && confirmed > 1 && confirmed <= this.#target.size && !isElsewhere;
    if (isUsable && this.#content.canReadFrom(confirmed)) {
      this.#resumed = true;
      if (status !== undefined && givenLocation(status) !== undefined) {
        this.#location = uploadLocation(status, this.#context.subject);
      }
      this.#offset = confirmed;
      return;
    }
    if (!this.#content.canReadFrom(0)) throw cause;
    await this.cancel();
    await this.#start();
  }

  /** @param length How many bytes of the content, from its start, go along. */
  async #commit(length: number): Promise<void> {
    const path = withDigest(this.#here(), this.#target.digest);
    const withBody: Pick<ApiRequest, 'body' | 'headers'> =
      length === 0
        ? { headers: {} }
        : {
            headers: { 'content-type': 'application/octet-stream', 'content-length': String(length) },
            body: () => this.#content.slice(0, length),
          };
    try {
      const stored = await this.#request({ method: 'PUT', path, ...withBody, accept: [200, 201, 202, 204] });
      checkStored(stored, this.#target.digest, this.#context.subject);
    } catch (error) {
      this.#content.throwIfFailed();
      // The answer may be what got lost.
      const refused = error instanceof RegistryError && error.code !== 'ERR_DIGEST_MISMATCH';
      const unclear = (isTransient(error) && !isRateLimited(error)) || (refused && MAY_BE_THERE.has(error.status));
      if (!unclear || !(await this.#isThere())) throw error;
    }
  }

  async #isThere(): Promise<boolean> {
    const path = `${this.#endpoint.repository}/blobs/${this.#target.digest}`;
    try {
      return (await this.#request({ method: 'HEAD', path, accept: [200, 404] })).status === 200;
    } catch {
      return false;
    }
  }

  #here(): URL {
    if (this.#location === undefined) throw new RootfsError('ERR_INTERNAL', 'the upload has no place');
    return this.#location;
  }

  /** Sends a request whose answer's body is of no interest. */
  async #request(request: Omit<ApiRequest, 'scopes' | 'subject'>): Promise<WireResponse> {
    const { session, subject } = this.#context;
    const response = await session.request(
      this.#endpoint,
      { ...request, scopes: pushScopes(this.#endpoint), subject, atOnce: true },
      this.#call,
    );
    response.body.discard();
    return response;
  }
}

/**
 * Too many requests is said before anything is taken: the same request is sent again, alone. One for another purpose
 * right before it would use up what is allowed each time.
 */
function isRateLimited(error: unknown): boolean {
  return error instanceof RegistryError && error.status === 429;
}

/** The session is gone: by 404, or by a code, from a registry that took bytes: one that never did knows no such way. */
function isLostSession(error: unknown, held: number): error is RegistryError {
  if (!(error instanceof RegistryError)) return false;
  return error.status === 404 || (held > 0 && error.errors.some(({ code }) => LOST_SESSION.has(code)));
}
