/**
 * The manifests that name another one as their subject: by the API, or by the tag that stands in for it.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
 */
import type { CallOptions } from '../content/content.js';
import { RegistryError, RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { parseJson } from '../spec/parse-json.js';
import type { Subject } from './answer-error.js';
import { listPages } from './paged-list.js';
import { isSubjectItself, referrersTag } from './referrers-index.js';
import type { RegistrySession } from './registry-session.js';
import { repositoryScope } from './scopes.js';

/** What registries answer that know no referrers. */
const NO_API = new Set([400, 404, 405, 406, 415, 501]);

/** What some of them answer that know no such path: whether they do, or deny it to us, only the tag can tell. */
const MAY_BE_NO_API = new Set([401, 403]);

/** Reads a manifest under a tag; `undefined` when there is none. */
export type ReadTag = (tag: string) => Promise<Buffer | undefined>;

/**
 * Yields each referrer of `digest` once, only those of `artifactType` where one is given.
 *
 * @throws RegistryError, RootfsError as the session's requests; the API's 401 or 403 where there is no list under the
 *   tag either
 */
export async function* listReferrers(
  session: RegistrySession,
  digest: Digest,
  artifactType: string | undefined,
  subject: Subject,
  readTag: ReadTag,
  call: CallOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  const wanted = (found: readonly Descriptor[]): readonly Descriptor[] =>
    artifactType === undefined ? found : found.filter((one) => one.artifactType === artifactType);
  const pages = referrersByApi(session, digest, artifactType, subject, call);
  let refusal: RegistryError | undefined;
  for (;;) {
    const page = await pages.next();
    if (page.done !== true) yield* wanted(page.value);
    else if (page.value === true) return;
    else {
      refusal = page.value;
      break;
    }
  }
  const tag = referrersTag(digest);
  const bytes = await readTag(tag);
  if (bytes === undefined || isSubjectItself(bytes, tag)) {
    if (refusal !== undefined) throw refusal;
    return;
  }
  const kept = new Map(descriptorsOf(parse(bytes, subject), subject).map((found) => [found.digest, found]));
  yield* wanted([...kept.values()]);
}

/** Whether the registry keeps the list of referrers itself. @throws RegistryError, RootfsError as the session's requests */
export async function hasReferrersApi(
  session: RegistrySession,
  digest: Digest,
  subject: Subject,
  call: CallOptions,
): Promise<boolean> {
  const pages = referrersByApi(session, digest, undefined, subject, call);
  const { done, value } = await pages.next();
  await pages.return(true);
  return done !== true || value === true;
}

/** The pages of the API's list. @returns whether there is such an API; or the refusal, where that leaves it open */
async function* referrersByApi(
  session: RegistrySession,
  digest: Digest,
  artifactType: string | undefined,
  subject: Subject,
  call: CallOptions,
): AsyncGenerator<readonly Descriptor[], true | RegistryError | undefined, undefined> {
  const query = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType })}`;
  const pages = listPages(
    session,
    {
      path: (endpoint) => `${endpoint.repository}/referrers/${digest}${query}`,
      scopes: (endpoint) => [repositoryScope(endpoint.repository, 'pull')],
      accept: MediaType.ociIndex,
      subject,
      mayBeAbsent: true,
      entries: ({ value }) => (isIndex(value) ? descriptorsOf(value, subject) : undefined),
      keyOf: (found) => found.digest,
    },
    call,
  );
  let answered = false;
  try {
    for await (const page of pages) {
      if (page === undefined) return undefined;
      answered = true;
      yield page;
    }
  } catch (error) {
    // Registries from before version 1.1 refuse the path in various ways; a list that breaks off is no such refusal.
    if (answered || !(error instanceof RegistryError)) throw error;
    if (MAY_BE_NO_API.has(error.status)) return error;
    if (!NO_API.has(error.status)) throw error;
  }
  return answered || undefined;
}

function isIndex(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'manifests');
}

/** The descriptors of an index of referrers; entries that are none are passed over. */
function descriptorsOf(value: unknown, subject: Subject): Descriptor[] {
  const list = (value as { manifests?: unknown } | null)?.manifests;
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) {
    throw new RootfsError(
      'ERR_REGISTRY',
      `${subject.name}: the list of referrers is no image index; ask who runs the registry`,
      {
        detail: { subject: subject.name },
      },
    );
  }
  return list.filter((entry): entry is Descriptor => {
    if (typeof entry !== 'object' || entry === null) return false;
    const { mediaType, digest, size } = entry as Record<string, unknown>;
    return (
      typeof mediaType === 'string' &&
      typeof digest === 'string' &&
      isDigest(digest) &&
      typeof size === 'number' &&
      Number.isSafeInteger(size) &&
      size >= 0
    );
  });
}

function parse(bytes: Buffer, subject: Subject): unknown {
  try {
    return parseJson(bytes.toString('utf8'));
  } catch (error) {
    throw new RootfsError(
      'ERR_MANIFEST_INVALID',
      `${subject.name}: the list of referrers is not JSON; delete its tag if nobody needs it`,
      {
        cause: error,
        detail: { subject: subject.name },
      },
    );
  }
}
