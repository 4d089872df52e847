/**
 * Image references in Docker's dialect: what a person types, and what it means.
 *
 * Pure: knows the grammar and Docker Hub's special names; asks nobody and opens nothing.
 *
 * @see https://github.com/distribution/reference
 */
import { RootfsError } from '../errors.js';
import { type Digest, parseDigest, requireVerifiable } from './digest.js';
import { namesUser, withoutUser } from './without-user.js';

/** Where an image is kept and what it is called there. At least one of `tag` and `digest` is present. */
export interface Reference {
  /** Host and, where one was given, port: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string;
  /** The repository's path at the registry: `library/ubuntu`. At most 255 characters. */
  readonly repository: string;
  /** `latest` when neither a tag nor a digest was given. Beside a digest it is for display: the digest decides. */
  readonly tag?: string | undefined;
  /** sha256 or sha512. */
  readonly digest?: Digest | undefined;
  /** The text as it was given. */
  readonly given: string;
}

/** A reference cut into its parts as they were given, nothing added. */
export interface SplitImage {
  readonly name: string;
  readonly tag?: string | undefined;
  readonly digest?: Digest | undefined;
}

/** The longest repository path, in characters. */
export const MAX_REPOSITORY_LENGTH = 255;

/** The longest reference text that is looked at, in characters. */
export const MAX_REFERENCE_LENGTH = 4096;

const DEFAULT_REGISTRY = 'docker.io';
const DEFAULT_TAG = 'latest';
const OFFICIAL = 'library/';

const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const HOST = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::([0-9]+))?$`);
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const IMAGE_ID = /^[a-f0-9]{64}$/;
const BARE_DIGEST = /^sha(?:256:[a-f0-9]{64}|512:[a-f0-9]{128})$/;

/** Whether text is a tag, by the grammar of the distribution specification. */
export function isTag(text: string): boolean {
  // A pattern takes undefined for the word: without this a tag of that name would be made.
  return typeof text === 'string' && TAG.test(text);
}

/**
 * Parses an image reference as Docker does: `name` is `docker.io/library/name:latest`, `user/x` is
 * `docker.io/user/x:latest`, `index.docker.io` is `docker.io`. The part before the first `/` is a host when it is
 * `localhost`, holds a `.` or `:`, or has an upper-case letter; without a `/` there is no host.
 *
 * Three things that Docker's grammar lets through and nobody could use are refused here: a port over 65535, a bracketed
 * host that is no IPv6 address, and a digest alone, which is a repository `sha256` there.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` (neither sha256 nor sha512)
 */
export function parseReference(text: string): Reference {
  const { name, tag, digest } = splitImage(text);
  const { registry, repository } = placeOf(name);
  return {
    registry,
    repository,
    ...(tag === undefined && digest === undefined ? { tag: DEFAULT_TAG } : tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
    given: text,
  };
}

/** The canonical text of a reference: `docker.io/library/ubuntu:latest`, `host/name:tag@sha256:…`. Parses to the same. */
export function formatReference(reference: Reference): string {
  return `${reference.registry}/${reference.repository}${suffix(reference)}`;
}

/** The text of a reference as Docker shows it: without `docker.io/` and `library/` where they go without saying. */
export function familiarReference(reference: Reference): string {
  const { registry, repository } = reference;
  if (registry !== DEFAULT_REGISTRY) return formatReference(reference);
  const rest = repository.startsWith(OFFICIAL) ? repository.slice(OFFICIAL.length) : undefined;
  const short = rest !== undefined && !rest.includes('/') ? rest : repository;
  // `docker.io/a.b/c` without its host would be `c` at the host `a.b`.
  if (hostOf(short) !== undefined) return formatReference(reference);
  return `${short}${suffix(reference)}`;
}

/**
 * The canonical text for what a person typed.
 *
 * @throws RootfsError as `parseReference`
 */
export function normalizeReference(text: string): string {
  return formatReference(parseReference(text));
}

/**
 * Cuts a reference into name, tag and digest, each as given: nothing is added, a missing tag or digest is no error.
 * What is there is checked as `parseReference` checks it.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`
 */
export function splitImage(text: string): SplitImage {
  checkText(text);
  const at = text.indexOf('@');
  const named = at === -1 ? text : text.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const name = colon === -1 ? named : named.slice(0, colon);
  placeOf(name, text);
  const tag = colon === -1 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, tagProblem(tag));
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined) checkDigest(text, digest);
  return {
    name,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest: digest as Digest }),
  };
}

/**
 * Refuses `scratch`: Dockerfiles say it for an image without layers, and engines take no image of that name.
 *
 * @param subject What was asked for, as the error names it.
 * @throws RootfsError `ERR_REFERENCE_INVALID`
 */
export function refuseReserved({ registry, repository, given }: Reference, subject = given): void {
  if (registry !== DEFAULT_REGISTRY || repository !== `${OFFICIAL}scratch`) return;
  throw new RootfsError(
    'ERR_REFERENCE_INVALID',
    `${subject}: scratch is a reserved name for an image without layers, which nobody has; name another image`,
    { detail: { reference: subject } },
  );
}

/** The host that answers the API of a registry: `registry-1.docker.io` for Docker Hub, else the registry itself. */
export function apiHost(registry: string): string {
  return isDockerHub(registry) ? 'registry-1.docker.io' : registry;
}

/** The key under which Docker's auth files keep a registry's credentials: `https://index.docker.io/v1/` for Docker Hub. */
export function credentialKey(registry: string): string {
  return isDockerHub(registry) || registry === 'registry-1.docker.io' ? 'https://index.docker.io/v1/' : registry;
}

/**
 * Whether a host, with or without a port, is this machine by its very name: `localhost`, `*.localhost`, 127.0.0.0/8,
 * `::1`. No name is looked up.
 */
export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/:[0-9]*$/, (port, offset: number) => (host.slice(0, offset).includes(':') ? port : ''));
  const bracketed = /^\[([^\]]*)\](?::[0-9]*)?$/.exec(host)?.[1] ?? (bare.includes(':') ? bare : undefined);
  if (bracketed !== undefined) return canonicalIpv6(bracketed) === '[::1]';
  const name = bare.toLowerCase();
  if (name === 'localhost' || /^[a-z0-9.-]+\.localhost$/.test(name)) return true;
  const quad = /^127\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(name);
  return quad?.slice(1).every((part) => Number(part) <= 255) ?? false;
}

function isDockerHub(registry: string): boolean {
  return registry === DEFAULT_REGISTRY || registry === 'index.docker.io';
}

function suffix({ tag, digest }: Reference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** The part of a name before its first slash, where that is a host. */
function hostOf(name: string): string | undefined {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  return first === 'localhost' || /[.:A-Z]/.test(first) ? first : undefined;
}

function placeOf(name: string, text = name): { readonly registry: string; readonly repository: string } {
  const host = hostOf(name);
  const registry = host === undefined || host === 'index.docker.io' ? DEFAULT_REGISTRY : host;
  const rest = host === undefined ? name : name.slice(host.length + 1);
  const repository = registry === DEFAULT_REGISTRY && !rest.includes('/') ? `${OFFICIAL}${rest}` : rest;
  if (host !== undefined) checkHost(text, host);
  checkRepository(text, rest, repository);
  return { registry, repository };
}

function checkText(text: string): void {
  if (typeof text !== 'string') {
    throw new RootfsError('ERR_REFERENCE_INVALID', `the image reference must be a string; found ${typeof text}`, {
      detail: { found: typeof text },
    });
  }
  if (text === '')
    throw invalid(text, 'it is empty; expected an image as in alpine, user/name:tag or host/name@digest');
  if (text.length > MAX_REFERENCE_LENGTH) {
    throw invalid(text, `it has ${text.length} characters; at most ${MAX_REFERENCE_LENGTH} are read`);
  }
  if (IMAGE_ID.test(text)) {
    throw invalid(text, 'that is an image ID, which no registry knows; give a name, or name@sha256:<digest>');
  }
  if (BARE_DIGEST.test(text)) throw invalid(text, 'that is a digest without a name; give name@sha256:<digest>');
  if (namesUser(text)) {
    throw invalid(
      withoutUser(text),
      'nobody is named in a reference; leave out what stands before @, and log in or give the credentials apart',
    );
  }
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme !== undefined) throw invalid(text, `leave out ${scheme}://; a reference starts with the host or the name`);
  if (/\s/.test(text)) throw invalid(text, 'it holds white space; leave that out');
}

function checkHost(text: string, host: string): void {
  const port = HOST.exec(host);
  if (port === null) {
    throw invalid(text, `${quote(host)} is not a host name; expected letters, digits, - and . with an optional :port`);
  }
  if (port[1] !== undefined && Number(port[1]) > 65535) {
    throw invalid(text, `the port ${port[1].slice(0, 20)} is over 65535`);
  }
  const end = host.indexOf(']');
  if (end !== -1 && canonicalIpv6(host.slice(1, end)) === undefined) {
    throw invalid(text, `${quote(host.slice(0, end + 1))} is not an IPv6 address`);
  }
}

function checkRepository(text: string, given: string, repository: string): void {
  if (given === '') throw invalid(text, 'the repository name is missing');
  if (/[A-Z]/.test(given) && given.split('/').every((component) => COMPONENT.test(component.toLowerCase()))) {
    throw invalid(
      text,
      `repository names are lower case; try ${quote(text.replace(given, () => given.toLowerCase()))}`,
    );
  }
  if (given.startsWith('[')) throw invalid(text, 'a host is followed by / and a repository name');
  for (const component of given.split('/')) {
    if (component === '') throw invalid(text, 'a part of the repository name is empty');
    if (!COMPONENT.test(component)) {
      throw invalid(
        text,
        `${quote(component)} cannot be part of a repository name; expected lower-case letters and digits, separated by one ., one or two _, or any number of -`,
      );
    }
  }
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    throw invalid(
      text,
      `the repository name has ${repository.length} characters; at most ${MAX_REPOSITORY_LENGTH} are allowed`,
    );
  }
}

function tagProblem(tag: string): string {
  if (tag === '') return 'the tag after : is empty; leave out the colon or add a tag';
  if (tag.length > 128) return `the tag has ${tag.length} characters; at most 128 are allowed`;
  return `${quote(tag)} is not a tag; expected letters, digits, _, . and -, not starting with . or -`;
}

function checkDigest(text: string, digest: string): void {
  if (digest === '') throw invalid(text, 'the digest after @ is empty; expected sha256:<64 lower-case hex digits>');
  if (digest.includes('@')) throw invalid(text, 'it holds more than one @');
  parseDigest(digest);
  requireVerifiable(digest);
}

function canonicalIpv6(address: string): string | undefined {
  return /^[a-fA-F0-9:.]+$/.test(address) && URL.canParse(`http://[${address}]/`)
    ? new URL(`http://[${address}]/`).hostname
    : undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}

function invalid(text: string, problem: string): RootfsError {
  return new RootfsError('ERR_REFERENCE_INVALID', `${quote(text)} is not an image reference: ${problem}`, {
    detail: { reference: text.slice(0, 300) },
  });
}
