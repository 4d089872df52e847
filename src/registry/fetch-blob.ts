/**
 * Fetches a blob by Range, endpoint by endpoint, until it is whole.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-blobs
 */
import { Readable } from 'node:stream';
import { resolveRange } from '../content/blob-file.js';
import type { FetchOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import { abortStream, throwIfAborted } from '../io/abort.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Subject } from './answer-error.js';
import type { ApiRequest } from './api-request.js';
import { checkEntity, contentLength, fault, wrongRange } from './blob-answer.js';
import { BlobServers } from './blob-servers.js';
import { BlobStream, type BlobWindow, type OpenBody } from './blob-stream.js';
import { cameEncoded, decodedBody } from './decoded-body.js';
import type { Endpoint } from './endpoint.js';
import { isHtml } from './manifest-answer.js';
import { contentEncoding, documentMs, type Encoding, readDocument } from './read-document.js';
import type { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';
import { type RangeSign, rangeOffer } from './served-content.js';
import { undoneBody } from './undone-body.js';
import { wholeBody } from './wire-body.js';

/** What the repository knows that a fetch of one blob needs. */
export interface BlobContext {
  readonly session: RegistrySession;
  readonly subject: Subject;
  /** Endpoints that served wrong bytes for this blob; asked only when there is no other. */
  readonly distrusted: ReadonlySet<string>;
  /** Why no repository is asked: then only the descriptor's own URLs are. */
  readonly absent?: RootfsError | undefined;
  /** Told which endpoint serves, which origin answered, and what the answer showed of ranges. */
  served(endpoint: Endpoint, origin: string, ranges: RangeSign | undefined): void;
  /** Told who refused a range. */
  refused(endpoint: Endpoint, origin: string): void;
}

/** How many of a descriptor's own URLs are tried. */
const MAX_FOREIGN_URLS = 10;

/** An attempt that brought this many bytes is followed by the next one at once. */
const HURRY_BYTES = 64 * 1024;

/** What has to come, in bytes, before failures count anew: a blob that comes byte by byte is no progress. */
const PROGRESS_BYTES = 1024;

/** How often a blob is opened at most: this, and once for each `HURRY_BYTES` of it. */
const MAX_OPENINGS = 1_000;

/** How many ranges other than the asked ones are taken for an accident. */
const MAX_WRONG_RANGES = 1;

/** What to do about a page in a blob's place. */
const PORTAL = 'check the host, and whether a portal or proxy is in between';

/** Statuses with which a server that knows no ranges answers a request for one; 403: its URL was signed without. */
const RANGE_REFUSALS = new Set([400, 403, 405, 416, 501]);

/**
 * Opens a blob, or the range of it that `options` ask for. Where no endpoint gives it, the descriptor's own `urls` are
 * asked, as nobody. Where ranges are refused, a range without an end is read out of the whole blob.
 *
 * @throws RootfsError `ERR_RANGE_INVALID` for a range outside the blob, and where other ranges come than asked;
 *   `ERR_SIZE_MISMATCH` where it ends early under a Content-Encoding; else as `RegistrySession.request`
 */
export async function fetchBlob(target: Descriptor, context: BlobContext, options: FetchOptions): Promise<Readable> {
  const { session, subject } = context;
  const window = blobWindow(target, options);
  if (window.start === window.limit) return Readable.from([], { objectMode: false });
  const { signal } = options;
  const own = new AbortController();
  const onAbort = (): void => own.abort(signal?.reason);
  throwIfAborted(signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  const closed = (): void => {
    signal?.removeEventListener('abort', onAbort);
    own.abort(new Error('the blob is no longer wanted'));
  };
  const call = { signal: own.signal, onProgress: options.onProgress };
  const budget = session.budget(subject.name, call);
  const servers = new BlobServers(session, call);
  const entityTags = new Map<string, string>();
  // What the last answer said about the blob's length, where it said anything.
  let claimed: number | undefined;
  // Who said last that a web page comes, of another length than the blob's.
  let page: string | undefined;
  // What the last answer was labelled with, where it is not certain that it is the blob's own bytes.
  let encoding: Encoding | undefined;
  // A server that refuses to go on from the middle (416), or has nothing there (404), is asked for all of it again, once;
  // what is known is read past. One part of many is not worth that.
  const toTheEnd = options.range?.end === undefined;
  let refusesRange = false;
  let wrongRanges = 0;
  let openings = 0;
  let gainedBytes = 0;
  const progress = Math.min(PROGRESS_BYTES, Math.ceil(target.size / 16));

  const openAt = async (endpoint: Endpoint, offset: number, url?: URL): Promise<OpenBody> => {
    if (++openings > MAX_OPENINGS + target.size / HURRY_BYTES) throw tooOften(subject, openings, offset, target);
    const ranged = !refusesRange && (offset > 0 || options.range !== undefined);
    const request: ApiRequest = {
      method: 'GET',
      path: url ?? `${endpoint.repository}/blobs/${target.digest}`,
      headers: ranged ? { range: `bytes=${offset}-${options.range === undefined ? '' : window.end - 1}` } : {},
      scopes: url === undefined ? [repositoryScope(endpoint.repository, 'pull')] : [],
      subject,
      anonymous: url !== undefined,
      accept: [200, 206],
    };
    const response = await session.request(endpoint, request, call).catch((error: unknown) => {
      if (ranged && isRangeRefusal(error)) context.refused(endpoint, originOf(error));
      throw error;
    });
    try {
      checkEntity(response, endpoint, entityTags, subject);
      const asked = ranged ? offset : 0;
      const wrong = response.status === 206 ? wrongRange(response, asked, target, subject) : undefined;
      if (wrong !== undefined) {
        if (++wrongRanges <= MAX_WRONG_RANGES || !ranged) throw fault(wrong);
        context.refused(endpoint, response.url.origin);
        throw new RootfsError('ERR_RANGE_INVALID', `${wrong}; ask for all of it`, {});
      }
      const first = response.status === 206 ? asked : 0;
      const sign = response.status === 206 ? 'honoured' : ranged ? 'refused' : rangeOffer(response);
      servers.answered(endpoint, url);
      if (url === undefined) context.served(endpoint, response.url.origin, sign);
      else if (sign === 'refused') context.refused(endpoint, response.url.origin);
      const length = contentLength(response);
      claimed = response.status === 206 || length === undefined ? undefined : length;
      page = length !== target.size && isHtml(response.headers.get('content-type')) ? response.url.host : undefined;
      encoding = response.status === 200 && length !== target.size ? contentEncoding(response) : undefined;
      if (encoding !== undefined) {
        claimed = undefined;
        if (isDocument(target)) {
          return { body: wholeBody(await readDocument(response, MAX_DOCUMENT_BYTES, subject.name)), skip: offset };
        }
        const whose = `${subject.name}: ${response.url.host} sent it`;
        // Without a length it may be the blob's own bytes, wrongly labelled.
        const undo = length === undefined ? undoneBody(target.mediaType) : decodedBody;
        return { body: await undo(response.body, encoding, whose), skip: offset };
      }
      if (isDocument(target)) response.body.limitTime(documentMs(response), subject.name);
      return { body: response.body, skip: offset - first };
    } catch (error) {
      response.body.cancel();
      throw error;
    }
  };
  const choice = { budget, distrusted: context.distrusted, late: servers.late };
  const open = async (offset: number): Promise<OpenBody> => {
    for (;;) {
      try {
        if (context.absent !== undefined) throw context.absent;
        return await session.onEndpoints('pull', subject.name, call, (endpoint) => openAt(endpoint, offset), choice);
      } catch (error) {
        const ranged = !refusesRange && (offset > 0 || options.range !== undefined);
        const isAbsent = error instanceof RootfsError && error.code === 'ERR_NOT_FOUND';
        // Of what has just been served it says more of who answered, or of the range, than of the blob.
        const isLost = isAbsent && offset > window.start && servers.isEndpoint;
        if (ranged && toTheEnd && (isLost || isRangeRefusal(error))) {
          refusesRange = true;
          continue;
        }
        const isRefused = error instanceof RegistryError && !(ranged && isRangeRefusal(error));
        const urls = isAbsent || isRefused ? servers.inOrder(foreignUrls(target)) : [];
        if (urls.length === 0) throw error;
        const found = await firstOf(urls, (url) => openAt(foreignEndpoint(url), offset, url));
        if ('body' in found) return found;
        await budget.next(isAbsent ? found.error : error);
      }
    }
  };

  let first: OpenBody;
  try {
    first = await open(window.start);
  } catch (error) {
    closed();
    throw error;
  }
  const stream = new BlobStream(first, window, {
    closed,
    async broken(error, gained) {
      gainedBytes += gained;
      if (gainedBytes >= progress) {
        gainedBytes = 0;
        budget.progressed();
      }
      if (gained < HURRY_BYTES && servers.leave(error)) return;
      await budget.next(error, gained >= HURRY_BYTES);
    },
    reopen: open,
    short(position) {
      const isPage = page === undefined ? '' : `, which ${page} calls a web page; ${PORTAL}`;
      if (claimed === position && toTheEnd) {
        if (isPage !== '') warn(options.onProgress, `${subject.name}: what came are ${position} bytes${isPage}`);
        return undefined;
      }
      const ended = `${subject.name}: the answer ended after ${position} of ${target.size} bytes`;
      const detail = { position, size: target.size };
      if (encoding === undefined) {
        const advice = isPage || '; try again, and if it stays, a proxy in between may cut it';
        return new RootfsError('ERR_NETWORK', `${ended}${advice}`, { detail });
      }
      return new RootfsError('ERR_SIZE_MISMATCH', `${ended}, and ${cameEncoded(encoding)}`, { detail });
    },
    long() {
      const longer = `${subject.name}: the answer is longer than ${target.size} bytes`;
      if (encoding !== undefined) warn(options.onProgress, `${longer}, and ${cameEncoded(encoding)}`);
      else if (page !== undefined) warn(options.onProgress, `${longer}, and ${page} calls it a web page; ${PORTAL}`);
    },
  });
  return abortStream(stream, signal);
}

function isRangeRefusal(error: unknown): boolean {
  if (error instanceof RegistryError) return RANGE_REFUSALS.has(error.status);
  return error instanceof RootfsError && error.code === 'ERR_RANGE_INVALID';
}

function originOf(error: unknown): string {
  const url = error instanceof RegistryError ? error.url : '';
  return URL.canParse(url) ? new URL(url).origin : '';
}

/** Whether its reader waits for all of it, and its first bytes show whether a proxy compressed it on its way. */
function isDocument({ size, mediaType }: Descriptor): boolean {
  return size <= MAX_DOCUMENT_BYTES && /[/+]json$/.test(mediaType);
}

function tooOften(subject: Subject, openings: number, offset: number, target: Descriptor): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${subject.name}: it was asked for ${openings - 1} times, and ${offset} of ${target.size} bytes have come; try again later, or ask who runs the server`,
    { detail: { openings: openings - 1, position: offset, size: target.size } },
  );
}

function blobWindow(target: Descriptor, options: FetchOptions): BlobWindow {
  const range = resolveRange(options.range, target);
  // One byte more than promised: a longer body is seen and not read.
  if (range === undefined) return { start: 0, end: target.size, limit: target.size + 1 };
  return { ...range, limit: range.end };
}

/** Where an image says that a layer may be had which its registry does not keep (nondistributable layers). */
function foreignUrls(target: Descriptor): URL[] {
  return (target.urls ?? [])
    .slice(0, MAX_FOREIGN_URLS)
    .filter((text) => typeof text === 'string' && URL.canParse(text))
    .map((text) => new URL(text))
    .filter(({ protocol, username, password }) => /^https?:$/.test(protocol) && username === '' && password === '');
}

function foreignEndpoint(url: URL): Endpoint {
  return { baseUrl: url.origin, repository: '', credentialHost: url.host, capabilities: ['pull'], source: 'the image' };
}

async function firstOf<T>(urls: readonly URL[], attempt: (url: URL) => Promise<T>): Promise<T | { error: unknown }> {
  let error: unknown;
  for (const url of urls) {
    try {
      return await attempt(url);
    } catch (failure) {
      error = failure;
    }
  }
  return { error };
}
