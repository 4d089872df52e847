/** What a registry's refusal means, in the words that users know. */
import { type ErrorCode, RegistryError, type RegistryErrorEntry } from '../errors.js';
import { parseChallenges } from './challenge.js';
import { hideSecrets, secretsOfUrl, withoutNamedSecrets } from './hide-secrets.js';
import { loginAdvice, loginCommand } from './login-advice.js';
import { shownUrl, TLS_PORT } from './network-error.js';
import { withoutEncoding } from './read-document.js';
import { errorEntries, isGrantRefused, printable, reasonOf } from './refusal-reason.js';
import { retryAfterMs } from './retry-budget.js';
import type { WireResponse } from './wire.js';
import { wholeBody } from './wire-body.js';

/** What the request was about, for people. */
export interface Subject {
  readonly kind: 'manifest' | 'blob' | 'upload' | 'tags' | 'referrers' | 'catalog' | 'registry';
  /** The registry as in the reference. */
  readonly registry: string;
  /** `registry/repository`, where there is one. */
  readonly repository: string;
  /** The content: `repository:tag`, `repository@digest`. */
  readonly name: string;
  /** It is asked whether something has to be uploaded: what comes of it is that an upload is asked for. */
  readonly beforePush?: boolean | undefined;
  /** What was shown to the registry: the source of a credential, or nothing. */
  readonly shownCredential?: string | undefined;
  /** The only file that credentials are looked for in, where there is one. */
  readonly authFile?: string | undefined;
  /** The source of a credential that was not shown. */
  readonly unshownCredential?: string | undefined;
  /** What was shown, in all its forms: it is taken out of what comes back. */
  readonly secrets?: readonly string[] | undefined;
  /** The registry asks who is there, and nobody could be shown: content may be hidden rather than missing. */
  readonly mayNeedLogin?: boolean | undefined;
  /** Who led to the host that refuses, where that is not the registry's: no credentials go there. */
  readonly ledBy?: 'registry' | 'image' | undefined;
}

/** What is known of a refusal beside its status. */
interface Refused extends Subject {
  /** A token was good, and not for this: whoever it is for is known, and may not do it. */
  readonly lacksAccess: boolean;
  readonly method: string;
  readonly schemes: readonly string[];
  readonly entries: readonly RegistryErrorEntry[];
}

/** The longest error body that is read, in bytes. */
const MAX_ERROR_BODY = 64 * 1024;

/** How long an error body may take in all, in milliseconds. */
const MAX_ERROR_MS = 5_000;

/** A map: the other side chooses the key, and every object has a `constructor`. */
const BY_ENTRY: ReadonlyMap<string, ErrorCode> = new Map([
  ['DIGEST_INVALID', 'ERR_DIGEST_MISMATCH'],
  ['SIZE_INVALID', 'ERR_SIZE_MISMATCH'],
  ['MANIFEST_INVALID', 'ERR_MANIFEST_INVALID'],
  ['MANIFEST_BLOB_UNKNOWN', 'ERR_NOT_FOUND'],
  ['NAME_INVALID', 'ERR_REFERENCE_INVALID'],
  ['TAG_INVALID', 'ERR_REFERENCE_INVALID'],
  ['TOOMANYREQUESTS', 'ERR_RATE_LIMITED'],
  ['DENIED', 'ERR_DENIED'],
  ['UNSUPPORTED', 'ERR_UNSUPPORTED'],
]);

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'ERR_UNAUTHORIZED',
  402: 'ERR_DENIED',
  403: 'ERR_DENIED',
  404: 'ERR_NOT_FOUND',
  405: 'ERR_UNSUPPORTED',
  410: 'ERR_NOT_FOUND',
  413: 'ERR_LIMIT_EXCEEDED',
  415: 'ERR_UNSUPPORTED',
  416: 'ERR_RANGE_INVALID',
  429: 'ERR_RATE_LIMITED',
  451: 'ERR_DENIED',
};

/** With what registries refuse to move a tag, or to delete what something refers to. */
const UNCHANGEABLE = new Set([409, 412]);

/** Reads a refusal's body, bounded, and makes the error of it. The response's body is used up. */
export async function answerError(response: WireResponse, method: string, subject: Subject): Promise<RegistryError> {
  const secrets = [...(subject.secrets ?? []), ...secretsOfUrl(response.url)];
  let body = '';
  try {
    const bytes = await withoutEncoding(await readErrorBody(response, subject), response, MAX_ERROR_BODY, subject.name);
    body = withoutNamedSecrets(hideSecrets(bytes.toString('utf8'), secrets));
  } catch {
    // The status says enough; a body that is endless or cut adds nothing.
  }
  const { status } = response;
  const errors = errorEntries(body);
  const code = codeOf(response, subject.kind, method, errors, body);
  const wait = retryAfterMs(response.headers.get('retry-after'));
  const challenges = parseChallenges(response.headers.all('www-authenticate'));
  const schemes = challenges.map(({ scheme }) => scheme);
  const lacksAccess = response.headers.all('www-authenticate').some((line) => /insufficient_scope/i.test(line));
  // Some say why in the challenge alone; an answer to HEAD has no other place.
  const described = challenges.map(({ parameters }) => parameters.get('error_description') ?? '').join(' ');
  const reasons =
    reasonOf(errors, body, response.headers.get('content-type')) ||
    printable(withoutNamedSecrets(hideSecrets(described, secrets)), 300);
  return new RegistryError(
    code,
    wording(code, status, { ...subject, lacksAccess, method, schemes, entries: errors }, reasons, response.url),
    { status, method, url: shownUrl(response.url), errors },
    { detail: { ...(reasons === '' ? {} : { reasons }), ...(wait === undefined ? {} : { retryAfterMs: wait }) } },
  );
}

/**
 * A refusal with its body read, so that its connection is free for what is asked next: where every connection to a host
 * holds a refusal, its token server could not be asked for ever. A body that cannot be read is empty.
 */
export async function readRefusal(
  response: WireResponse,
  subject: Subject,
): Promise<WireResponse & { readonly text: string }> {
  const bytes = await readErrorBody(response, subject).catch(() => Buffer.alloc(0));
  return { ...response, body: wholeBody(bytes), text: bytes.toString('utf8') };
}

/** A reason is worth no wait of its own: the status is known already. */
async function readErrorBody(response: WireResponse, { name }: Subject): Promise<Buffer> {
  const withinMs = Math.min(response.timeoutMs, MAX_ERROR_MS);
  return response.body.bytes({ bytes: MAX_ERROR_BODY, withinMs }, name);
}

function codeOf(
  { status, url }: WireResponse,
  kind: Subject['kind'],
  method: string,
  errors: readonly RegistryErrorEntry[],
  body: string,
): ErrorCode {
  if (status === 400 && /HTTP request to an? HTTPS|plain HTTP request was sent to HTTPS/i.test(body)) return 'ERR_TLS';
  const named = errors.map(({ code }) => BY_ENTRY.get(code)).find((code) => code !== undefined);
  if (status === 400 && errors.some(isImmutable)) return 'ERR_DENIED';
  if (status === 400 && (named !== undefined || isGrantRefused(body))) return named ?? 'ERR_UNAUTHORIZED';
  if (method === 'DELETE' && UNCHANGEABLE.has(status)) return 'ERR_DENIED';
  // A blob has no name that could be moved.
  if (kind === 'upload' && UNCHANGEABLE.has(status) && url.pathname.includes('/manifests/')) return 'ERR_DENIED';
  if (status === 404 && named === 'ERR_DENIED') return 'ERR_DENIED';
  if (status >= 500) return named === 'ERR_RATE_LIMITED' ? named : 'ERR_REGISTRY';
  return BY_STATUS[status] ?? 'ERR_REGISTRY';
}

/** A tag that may not be moved: some say so with a code that means something else. */
function isImmutable({ code, message }: RegistryErrorEntry): boolean {
  return code === 'TAG_INVALID' && /immutable/i.test(message ?? '');
}

function wording(code: ErrorCode, status: number, subject: Refused, reasons: string, url: URL): string {
  const { kind, method, name, repository, registry, shownCredential, mayNeedLogin, lacksAccess, entries } = subject;
  const because = reasons === '' ? '' : ` (${reasons})`;
  const login = loginAdvice(shownCredential ?? '', registry, subject.authFile);
  // The registry itself is asked at a login.
  const refused = kind === 'registry' ? url.host : `${repository}: ${url.host}`;
  const notTaken = `${name}: ${url.host} refused it with status ${status}${because}; ask who runs it what it accepts`;
  const orLogin =
    mayNeedLogin === true ? `, or run: ${loginCommand(registry, subject.authFile)}, where it is private` : '';
  switch (code) {
    case 'ERR_TLS':
      return `${url.host}: ${TLS_PORT.join('; ')}`;
    case 'ERR_UNAUTHORIZED':
      if (subject.ledBy !== undefined) return elsewhereRefused(subject, because, url);
      return shownCredential === undefined
        ? nobodyRefused(subject, because)
        : lacksAccess
          ? `${refused} gives no access with the credentials from ${shownCredential}${because}; check the name and whose they are, or ${login}`
          : `${refused} did not accept the credentials from ${shownCredential}${because}; ${login}`;
    case 'ERR_DENIED':
      if (method === 'DELETE' && UNCHANGEABLE.has(status)) {
        return `${name}: ${url.host} refuses to delete it with status ${status}${because}; something may refer to it, or its tags be immutable`;
      }
      if (kind === 'upload' && (entries.some(isImmutable) || UNCHANGEABLE.has(status))) {
        return `${name}: ${url.host} refuses to change it with status ${status}${because}; its tags may be immutable, push under another one`;
      }
      return `${repository}: access denied by ${url.host}${because}; ask its owner for access, or log in as someone who has it`;
    case 'ERR_NOT_FOUND':
      if (kind === 'manifest') return `manifest for ${name} not found${because}; check the name and the tag${orLogin}`;
      if (kind === 'blob' && repository === '') {
        return `${name}: no such blob there, nor at ${url.host}, where its image has it from${because}; copy it there first`;
      }
      if (kind === 'blob') return `blob ${name} not found${because}; the image at the registry is incomplete`;
      if (kind === 'upload') return uploadNotFound(subject, because, orLogin, url);
      if (kind === 'tags') return `repository ${repository} not found${because}; check the name${orLogin}`;
      return `${name}: not found at ${url.host}${because}; check the name, and that this is a registry`;
    case 'ERR_UNSUPPORTED':
      if (kind === 'upload' && status !== 405) return notTaken;
      return kind === 'upload'
        ? `${name}: ${url.host} takes no uploads${because}; it may be read-only or a mirror`
        : `${name}: ${url.host} does not support this operation${because}; ask who runs it`;
    case 'ERR_LIMIT_EXCEEDED': {
      // A manifest goes in one request, however blobs are sent.
      const pieces = url.pathname.includes('/manifests/')
        ? ''
        : ', or upload in pieces (--upload-chunk, uploadChunkBytes)';
      return `${name}: ${url.host} refuses content of this size with status ${status}${because}; raise the limit there${pieces}`;
    }
    case 'ERR_RATE_LIMITED':
      return `${name}: ${url.host} limits the rate of requests (status ${status})${because}; log in for a higher limit, or come back later`;
    case 'ERR_RANGE_INVALID':
      if (kind === 'upload')
        return `${name}: ${url.host} holds another part of the upload than it said${because}; push again`;
      return `${name}: ${url.host} does not have the requested range${because}; the blob there is shorter than its descriptor says`;
    case 'ERR_DIGEST_MISMATCH':
    case 'ERR_SIZE_MISMATCH':
    case 'ERR_MANIFEST_INVALID':
    case 'ERR_REFERENCE_INVALID':
      return notTaken;
    default:
      if (kind === 'upload' && status < 500) return notTaken;
      return `${name}: ${url.host} answered with status ${status}${because}; ${status >= 500 ? 'try again later' : 'check that this is a registry'}`;
  }
}

/** A login wanted by a host that a redirect, an upload's place or a layer's URL leads to. */
function elsewhereRefused({ name, repository, registry, ledBy }: Refused, because: string, url: URL): string {
  if (ledBy === 'registry' && url.protocol === 'https:' && url.host === registry) {
    return `${repository}: ${registry} leads from plain http to https, and wants a login there${because}; ${TLS_PORT[1]}`;
  }
  const leader = ledBy === 'image' ? 'the image' : registry;
  const who = ledBy === 'image' ? 'publishes' : 'runs';
  return `${repository || name}: ${url.host}, where ${leader} leads, wants a login${because}; no credentials go there, ask who ${who} ${leader}`;
}

/** What a registry answers that was shown nobody. Of the registry itself no name can be wrong. */
function nobodyRefused(refused: Refused, because: string): string {
  const { kind, method, repository, registry, schemes, unshownCredential, beforePush } = refused;
  const advice = `run: ${loginCommand(registry, refused.authFile)}`;
  const who = repository === registry ? registry : `${repository}: ${registry}`;
  if (schemes.length > 0 && !schemes.some((scheme) => scheme === 'basic' || scheme === 'bearer')) {
    const wanted = printable([...new Set(schemes)].join(', '), 100);
    return `${who} takes logins by ${wanted} only${because}, and what is shown here is Basic or Bearer; ask who runs it for one of these`;
  }
  // A realm may be missing where a scheme is named, and a token is asked for nowhere then.
  if (!schemes.includes('basic') && unshownCredential !== undefined) {
    return `${who} refuses and does not say in WWW-Authenticate how to log in${because}; the credentials from ${unshownCredential} were not shown, ask who runs it`;
  }
  if (repository === registry) return `${registry}: it answers only who logs in${because}; ${advice}`;
  // Whoever asks whether a blob is there may pull as well as push.
  const verb = method === 'DELETE' ? 'delete ' : kind === 'upload' ? 'push ' : beforePush === true ? '' : 'pull ';
  return `${verb}access denied for ${repository}, repository does not exist or may require login${because}; check the name, or ${advice}`;
}

/** With what registries refuse a manifest whose blobs, manifests or subject they do not have. */
const NOT_THERE: ReadonlySet<string> = new Set(['MANIFEST_BLOB_UNKNOWN', 'MANIFEST_UNKNOWN', 'BLOB_UNKNOWN']);

/** What of a push was not found: what a manifest names, the repository that it goes to, or the upload itself. */
function uploadNotFound(refused: Refused, because: string, orLogin: string, url: URL): string {
  const { name, repository, method, entries } = refused;
  if (entries.some(({ code }) => NOT_THERE.has(code))) {
    return `${name}: ${url.host} does not have all that it names${because}; push again`;
  }
  // Some registries make no repository by themselves, or none outside of the projects that they know.
  const isMissing = method === 'POST' || url.pathname.includes('/manifests/');
  if (isMissing || entries.some(({ code }) => code === 'NAME_UNKNOWN')) {
    return `repository ${repository} not found${because}; make it at ${url.host} first, or check the name${orLogin}`;
  }
  return `${name}: the upload was not found${because}; push again`;
}
