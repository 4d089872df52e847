/** The keys that credentials are kept under: hosts, compared exactly, and longer names below them. Pure. */
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import { credentialKey } from '../spec/reference.js';
import { withoutUser } from '../spec/without-user.js';
import type { CredentialScope } from './credentials.js';

const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?$/;
const PATH = /^(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/;

/** One name for a host that has several: Docker Hub's are all `docker.io`. Any other host stays as it is written. */
export function canonicalHost(host: string): string {
  return credentialKey(host) === host ? host : 'docker.io';
}

/** The keys that may hold a scope's credential, the longest first: `host/ns/repo`, `host/ns`, `host`. */
export function credentialKeys(scope: CredentialScope): readonly string[] {
  const host = canonicalHost(scope.host);
  const parts = scope.repository === undefined ? [] : scope.repository.split('/').filter((part) => part !== '');
  return Array.from({ length: parts.length + 1 }, (_, left) =>
    [host, ...parts.slice(0, parts.length - left)].join('/'),
  );
}

/**
 * The key a file means by what it says: a URL stands for its host, `/v1/` and `/v2/` are dropped, Docker Hub is
 * `docker.io`. A name with a path and without a scheme keeps its path.
 */
export function normalizeKey(written: string): string {
  const bare = written.replace(/^https?:\/\//i, '');
  const slash = bare.indexOf('/');
  if (slash < 0) return canonicalHost(bare);
  const host = canonicalHost(bare.slice(0, slash));
  const path = bare.slice(slash).replace(/^\/v[12](?=\/|$)/, '');
  const end = bare === written ? trimSlashes(path) : '';
  return `${host}${end}`;
}

/**
 * Whether a key is one of those under which Docker keeps its own session with the Hub
 * (`https://index.docker.io/v1/access-token`, `…/refresh-token`): what lies there is no login for the registry.
 */
export function isHubSession(written: string): boolean {
  const path = /^https?:\/\/([^/]+)\/v1\/(?:access|refresh)-token$/i.exec(written);
  return path?.[1] !== undefined && canonicalHost(path[1]) === 'docker.io';
}

/**
 * Checks and normalises what somebody wants to log in to: `host[:port]`, or `host[:port]/namespace…`.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function parseLoginKey(text: string): string {
  if (typeof text !== 'string') throw partError('registry', 'text', text, 'give host[:port]');
  const key = normalizeKey(text);
  const slash = key.indexOf('/');
  const host = slash < 0 ? key : key.slice(0, slash);
  const path = slash < 0 ? '' : key.slice(slash);
  if (key.length > 512 || !HOST.test(host) || !PATH.test(path)) {
    const found = withoutUser(text).slice(0, 200);
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${JSON.stringify(found)} is not a registry; expected host[:port], as in registry.example:5000`,
      { detail: { found } },
    );
  }
  return key;
}

/** A text without the slashes at its end. */
export function trimSlashes(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}
