/**
 * Lists that come in pages.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { report } from '../progress.js';
import { bareMediaType } from '../spec/media-types.js';
import { parseJson } from '../spec/parse-json.js';
import { printable, type Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import { readDocument } from './read-document.js';
import { headerUrl } from './redirect.js';
import type { RegistrySession } from './registry-session.js';
import type { WireResponse } from './wire.js';

/** The most pages of one list that are asked for. */
export const MAX_PAGES = 10_000;

/** The largest page that is read, in bytes. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;

/** What a list is asked for with, and how its pages are read. */
export interface ListRequest {
  readonly path: (endpoint: Endpoint) => string;
  readonly scopes: (endpoint: Endpoint) => readonly string[];
  readonly accept?: string | undefined;
  readonly subject: Subject;
  /**
   * Whether the first page may say that there is no such list, by 404 or by something that is neither JSON nor labelled
   * as what was asked for: `undefined` is yielded then.
   */
  readonly mayBeAbsent?: boolean | undefined;
}

/** One page: its JSON value and its headers. */
export interface Page {
  readonly value: unknown;
  readonly response: WireResponse;
}

/**
 * Yields the pages of a list, following `Link` headers and the JSON field `next` within one origin. Ends where a page
 * comes again, with a warning.
 *
 * @throws RootfsError `ERR_REGISTRY` (no JSON, a next page elsewhere), `ERR_LIMIT_EXCEEDED` past 10,000 pages
 */
export async function* listPages(
  session: RegistrySession,
  request: ListRequest,
  call: CallOptions,
): AsyncGenerator<Page | undefined, void, undefined> {
  const { subject } = request;
  let endpoint: Endpoint | undefined;
  let path: string | URL | undefined;
  const seen = new Set<string>();
  for (let count = 0; ; count++) {
    if (count >= MAX_PAGES) {
      throw new RootfsError('ERR_LIMIT_EXCEEDED', `${subject.name}: more than ${MAX_PAGES} pages; refused`, {
        detail: { maxPages: MAX_PAGES },
      });
    }
    const get = async (asked: Endpoint): Promise<Page | undefined> => {
      const response = await session.request(
        asked,
        {
          method: 'GET',
          path: path ?? request.path(asked),
          headers: { accept: request.accept ?? 'application/json' },
          scopes: request.scopes(asked),
          subject,
          accept: request.mayBeAbsent === true && path === undefined ? [200, 404] : [200],
        },
        call,
      );
      endpoint = asked;
      if (response.status === 404) {
        response.body.discard();
        return undefined;
      }
      const bytes = await readDocument(response, MAX_PAGE_BYTES, subject.name);
      if (request.mayBeAbsent === true && path === undefined && isOther(bytes, response, request)) return undefined;
      return { response, value: parsePage(bytes, response, subject) };
    };
    const only = endpoint;
    const page: Page | undefined = await session.onEndpoints('resolve', subject.name, call, get, {
      registryFirst: true,
      // The pages of one list are asked of one endpoint.
      only: only?.baseUrl,
    });
    yield page;
    if (page === undefined) return;
    const next = nextPage(page, subject);
    if (next === undefined) return;
    if (seen.has(next.href)) {
      tellLoop(subject, call);
      return;
    }
    seen.add(next.href);
    path = next;
  }
}

/** The most names of one list that are kept. */
const MAX_NAMES = 1_000_000;

/**
 * Yields the names in a field of each page, each once; `null` and a missing field are an empty list. Ends where a page
 * brings nothing new.
 *
 * @throws RootfsError as `listPages`; `ERR_LIMIT_EXCEEDED` past a million names
 */
export async function* listNames(
  session: RegistrySession,
  field: 'tags' | 'repositories',
  request: ListRequest,
  call: CallOptions,
): AsyncGenerator<string, void, undefined> {
  const seen = new Set<string>();
  for await (const page of listPages(session, request, call)) {
    if (page === undefined) return;
    const names = namesOf(page, field, request.subject);
    const before = seen.size;
    for (const name of names) {
      if (seen.has(name)) continue;
      if (seen.size >= MAX_NAMES) {
        throw new RootfsError('ERR_LIMIT_EXCEEDED', `${request.subject.name}: more than ${MAX_NAMES} names; refused`, {
          detail: { maxNames: MAX_NAMES },
        });
      }
      seen.add(name);
      yield name;
    }
    if (names.length > 0 && seen.size === before) {
      tellLoop(request.subject, call);
      return;
    }
  }
}

function tellLoop(subject: Subject, call: CallOptions): void {
  report(call.onProgress, {
    type: 'warning:raised',
    message: `${subject.name}: the pages of this list come round again; it may not be whole`,
  });
}

/** The names in a field of a page; none where it is missing. @throws RootfsError `ERR_REGISTRY` where it is no list */
export function namesOf({ value, response }: Page, field: 'tags' | 'repositories', subject: Subject): string[] {
  const list = (value as Record<string, unknown> | null)?.[field];
  if (list === undefined || list === null) {
    const { errors } = (value ?? {}) as { errors?: unknown };
    if (list === undefined && Array.isArray(errors) && errors.length > 0) {
      throw notAList(response, subject, 'it holds errors instead');
    }
    return [];
  }
  if (!Array.isArray(list)) throw notAList(response, subject, `its field ${field} is no list`);
  return list
    .filter((name): name is string => typeof name === 'string' && name !== '' && name.length <= 1024)
    .map((name) => printable(name, 1024));
}

/** The page of a portal or an application that answers every path: nothing that was asked for. */
function isOther(bytes: Buffer, { headers }: WireResponse, { accept = '' }: ListRequest): boolean {
  if (bareMediaType(headers.get('content-type') ?? '') === accept) return false;
  try {
    JSON.parse(bytes.toString('utf8'));
    return false;
  } catch {
    return true;
  }
}

function parsePage(bytes: Buffer, response: WireResponse, subject: Subject): unknown {
  try {
    return parseJson(bytes.toString('utf8'));
  } catch (error) {
    throw notAList(response, subject, 'it is not JSON', error);
  }
}

function notAList(response: WireResponse, subject: Subject, problem: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${subject.name}: ${response.url.host} answered with something that is no list (${problem}); check that this is a registry`,
    { cause, detail: { host: response.url.host } },
  );
}

function nextPage({ response, value }: Page, subject: Subject): URL | undefined {
  const given = linkNext(response.headers.all('link')) ?? (value as { next?: unknown } | null)?.next;
  if (typeof given !== 'string' || given === '') return undefined;
  if (given.length > 8192 || !URL.canParse(given, response.url.href)) return undefined;
  const next = new URL(given, response.url);
  next.hash = '';
  // A registry behind a proxy that speaks TLS for it may name itself with http.
  const sameHost = next.host === response.url.host || (next.hostname === response.url.hostname && next.port === '');
  if (!/^https?:$/.test(next.protocol) || !sameHost) {
    throw new RootfsError(
      'ERR_REGISTRY',
      `${subject.name}: ${response.url.host} continues its list at another origin, ${next.host}; refused`,
      { detail: { host: response.url.host, next: next.host } },
    );
  }
  return new URL(`${response.url.origin}${next.pathname}${next.search}`);
}

/** The target of `rel="next"` in Link headers, with or without its brackets; of a link that says no relation too. */
function linkNext(lines: readonly string[]): string | undefined {
  for (const line of lines) {
    const text = line.slice(0, 16_384);
    if (!text.includes('<')) {
      const [target, ...parameters] = text.split(';');
      if (parameters.some(isNext)) return headerUrl((target ?? '').trim());
    }
    for (const [, target, parameters = ''] of text.matchAll(/<([^<>]*)>([^<]*)/g)) {
      // Some leave out what there is only one of.
      if (parameters.split(';').some(isNext) || !/[;\s]rel\s*=/i.test(parameters)) return headerUrl(target ?? '');
    }
  }
  return undefined;
}

function isNext(parameter: string): boolean {
  const [name = '', value = ''] = parameter.split('=', 2);
  const relations = value
    .replace(/["\s,]+/g, ' ')
    .trim()
    .toLowerCase()
    .split(' ');
  return name.trim().toLowerCase() === 'rel' && relations.includes('next');
}
