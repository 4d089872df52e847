/**
 * Lists that come in pages.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { warn } from '../progress.js';
import { bareMediaType } from '../spec/media-types.js';
import type { Subject } from './answer-error.js';
import type { Endpoint } from './endpoint.js';
import { NameReader, type Page, readPage } from './list-page.js';
import { headerUrl } from './redirect.js';
import type { RegistrySession } from './registry-session.js';

/** The most pages of one list that are asked for. */
export const MAX_PAGES = 10_000;

/** The most entries of one list that are read. */
export const MAX_ENTRIES = 1_000_000;

/** The most bytes that these may have for names. */
export const MAX_NAME_BYTES = 64 * 1024 * 1024;

/** What a list is asked for with, and how its pages are read. */
export interface ListRequest<T> {
  readonly path: (endpoint: Endpoint) => string;
  readonly scopes: (endpoint: Endpoint) => readonly string[];
  readonly accept?: string | undefined;
  readonly subject: Subject;
  /**
   * Whether the first page may say that there is no such list: by 404, by something that is neither JSON nor labelled
   * as what was asked for, or because `entries` finds none in it. `undefined` is yielded then.
   */
  readonly mayBeAbsent?: boolean | undefined;
  /** The entries of a page; `undefined` where it is another document. */
  readonly entries: (page: Page) => readonly T[] | undefined;
  /** What tells an entry from others. */
  readonly keyOf: (entry: T) => string;
}

/**
 * Yields what each page of a list brings that none before it did, following `Link` headers and the JSON field `next`
 * within one origin. Ends with a warning where a page comes again, under whatever URL, or brings nothing new.
 *
 * @throws RootfsError `ERR_REGISTRY` (no JSON, a next page elsewhere), `ERR_LIMIT_EXCEEDED` past 10,000 pages, a
 *   million entries or 64 MiB of their names, and for a page past the bounds of `readPage`
 */
export async function* listPages<T>(
  session: RegistrySession,
  request: ListRequest<T>,
  call: CallOptions,
): AsyncGenerator<readonly T[] | undefined, void, undefined> {
  const { subject } = request;
  let endpoint: Endpoint | undefined;
  let path: string | URL | undefined;
  const urls = new Set<string>();
  const known = new KnownEntries(request);
  for (let count = 0; ; count++) {
    if (count >= MAX_PAGES) {
      throw new RootfsError(
        'ERR_LIMIT_EXCEEDED',
        `${subject.name}: more than ${MAX_PAGES} pages, and still no end; ask who runs the registry`,
        {
          detail: { maxPages: MAX_PAGES },
        },
      );
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
      const label = bareMediaType(response.headers.get('content-type') ?? '');
      // The page of a portal or an application that answers every path is nothing that was asked for.
      return readPage(response, subject, request.mayBeAbsent && path === undefined && label !== request.accept);
    };
    const only = endpoint;
    const page: Page | undefined = await session.onEndpoints('resolve', subject.name, call, get, {
      registryFirst: true,
      // The pages of one list are asked of one endpoint.
      only: only?.baseUrl,
    });
    const entries = page === undefined ? undefined : request.entries(page);
    if (page === undefined || (entries === undefined && path === undefined && request.mayBeAbsent === true)) {
      yield undefined;
      return;
    }
    const fresh = known.add(entries ?? []);
    yield fresh;
    const next = nextPage(page, subject);
    if (next === undefined) return;
    const isKnown = entries !== undefined && entries.length > 0 && fresh.length === 0;
    if (isKnown || urls.has(next.href)) {
      tellLoop(subject, call);
      return;
    }
    urls.add(next.href);
    path = next;
  }
}

/** What a list has brought so far. */
class KnownEntries<T> {
  readonly #request: ListRequest<T>;
  readonly #keys = new Set<string>();
  #bytes = 0;

  constructor(request: ListRequest<T>) {
    this.#request = request;
  }

  /** Notes entries. @returns those that are new @throws RootfsError `ERR_LIMIT_EXCEEDED` */
  add(entries: readonly T[]): readonly T[] {
    const { keyOf, subject } = this.#request;
    return entries.filter((entry) => {
      const key = keyOf(entry);
      if (this.#keys.has(key)) return false;
      this.#keys.add(key);
      this.#bytes += key.length;
      if (this.#keys.size > MAX_ENTRIES || this.#bytes > MAX_NAME_BYTES) {
        throw new RootfsError(
          'ERR_LIMIT_EXCEEDED',
          `${subject.name}: the list has more than ${MAX_ENTRIES} entries, or ${MAX_NAME_BYTES} bytes of names; ask who runs the registry`,
          { detail: { maxEntries: MAX_ENTRIES, maxNameBytes: MAX_NAME_BYTES } },
        );
      }
      return true;
    });
  }
}

/** What a list of names is asked for with. */
export type NamesRequest = Omit<ListRequest<string>, 'entries' | 'keyOf' | 'mayBeAbsent'>;

/**
 * Yields the names in a field of each page, each once; `null` and a missing field are an empty list. What is no name is
 * left out, with a warning.
 *
 * @throws RootfsError as `listPages`
 */
export async function* listNames(
  session: RegistrySession,
  field: 'tags' | 'repositories',
  request: NamesRequest,
  call: CallOptions,
): AsyncGenerator<string, void, undefined> {
  const reader = new NameReader(field, request.subject, call);
  const pages = { ...request, entries: (page: Page) => reader.read(page), keyOf: (name: string) => name };
  for await (const names of listPages(session, pages, call)) {
    for (const name of names ?? []) {
      throwIfAborted(call.signal);
      yield name;
    }
  }
}

function tellLoop(subject: Subject, call: CallOptions): void {
  warn(call.onProgress, `${subject.name}: the pages of this list come round again; it may not be whole`);
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
    const elsewhere = next.host === '' ? `a ${next.protocol.slice(0, 20)} address` : next.host;
    throw new RootfsError(
      'ERR_REGISTRY',
      `${subject.name}: ${response.url.host} continues its list at another origin, ${elsewhere}; it or a proxy before it is misconfigured, ask who runs it`,
      { detail: { host: response.url.host, next: next.host } },
    );
  }
  return new URL(`${response.url.origin}${next.pathname}${next.search}`);
}

/**
 * The target of `rel="next"` in Link headers, else of a link that says no relation; with or without its brackets, or
 * one of them: a list that ends there would be taken for whole.
 */
function linkNext(lines: readonly string[]): string | undefined {
  const links = lines.flatMap((line) => {
    const text = line.slice(0, 16_384);
    const whole = [...text.matchAll(/<([^<>]*)>([^<]*)/g)].map(([, target = '', rest = '']) => {
      return { target, rest, bare: false };
    });
    if (whole.length > 0) return whole;
    const [target = '', ...rest] = text.split(';');
    return [{ target: target.replace(/[<>]/g, '').trim(), rest: `;${rest.join(';')}`, bare: !/[<>]/.test(target) }];
  });
  // Some leave out what there is only one of.
  const next =
    links.find(({ rest }) => rest.split(';').some(isNext)) ??
    links.find(({ rest, bare }) => !bare && !/[;\s]rel\s*=/i.test(rest));
  return next === undefined ? undefined : headerUrl(next.target);
}

function isNext(parameter: string): boolean {
  const [name = '', value = ''] = parameter.split('=', 2);
  const relations = value
    .replace(/["'\s,]+/g, ' ')
    .trim()
    .toLowerCase()
    .split(' ');
  return name.trim().toLowerCase() === 'rel' && relations.includes('next');
}
