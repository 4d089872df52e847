/**
 * Docker's `config.json` and the containers tools' `auth.json`: one format, read here, from a text.
 *
 * @see https://github.com/containers/image/blob/v5.36.0/docs/containers-auth.json.5.md
 */
import { RootfsError } from '../errors.js';
import { isObject } from '../spec/parse-json.js';
import { isHubSession, normalizeKey } from './credential-key.js';
import type { Credential } from './credentials.js';

/** What an auth file holds. Only the entry that is used is looked into. */
export interface AuthFile {
  /** Where it was read, for people. */
  readonly source: string;
  readonly auths: Readonly<Record<string, unknown>>;
  readonly credHelpers: Readonly<Record<string, unknown>>;
  readonly credsStore: string | undefined;
}

/** An entry of `auths`: a credential, or `undefined` where the entry is there and empty (kept by a helper). */
export interface AuthEntry {
  readonly key: string;
  readonly credential: Credential | undefined;
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** The error of a file that holds no usable credentials. Names the file and the place, never the content. */
export function credentialsError(source: string, problem: string, advice: string): RootfsError {
  return new RootfsError('ERR_CREDENTIALS', `${source}: ${problem}; ${advice}`, { detail: { source } });
}

/**
 * Reads the text of a JSON object as it stands in an auth file. An empty text is an empty object.
 *
 * @throws RootfsError `ERR_CREDENTIALS` that names `source` and holds nothing of the text
 */
export function parseAuthDocument(text: string, source: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's error quotes the text, so it is not even kept as the cause.
    throw credentialsError(source, 'this is not JSON', 'correct it or log in again');
  }
  if (!isObject(value)) throw credentialsError(source, 'a JSON object is expected', 'correct it or log in again');
  return value;
}

/**
 * Reads an auth file's text.
 *
 * @throws RootfsError `ERR_CREDENTIALS` that names `source` and holds nothing of the text
 */
export function parseAuthFile(text: string, source: string): AuthFile {
  return readAuthDocument(parseAuthDocument(text, source), source);
}

/** Looks at the object that an auth file holds. @throws RootfsError `ERR_CREDENTIALS` as `parseAuthFile` */
export function readAuthDocument(document: Record<string, unknown>, source: string): AuthFile {
  const store = document['credsStore'];
  if (store !== undefined && store !== null && typeof store !== 'string') {
    throw credentialsError(source, 'credsStore is no string', "expected a helper's name, as in secretservice");
  }
  return {
    source,
    auths: section(document, 'auths', source),
    credHelpers: section(document, 'credHelpers', source),
    credsStore: typeof store === 'string' && store !== '' ? store : undefined,
  };
}

/**
 * Finds the entry of `auths` for one of the keys, which are asked in order. Under several spellings of one key the
 * exact one is first, and one with a credential before an empty one.
 *
 * @throws RootfsError `ERR_CREDENTIALS` when that entry cannot be read
 */
export function findAuthEntry(file: AuthFile, keys: readonly string[]): AuthEntry | undefined {
  let empty: AuthEntry | undefined;
  for (const key of keys) {
    for (const written of spellings(file.auths, key)) {
      const credential = readEntry(file.auths[written], written, file.source);
      if (credential !== undefined) return { key, credential };
      empty ??= { key, credential };
    }
  }
  return empty;
}

/** The helper that a file names for one of the keys. `own`: named for this key, not for every registry. */
export interface NamedHelper {
  readonly name: string;
  readonly key: string;
  readonly own: boolean;
}

/**
 * Finds the helper for one of the keys: `credHelpers`, longest key first, else `credsStore` for the host. An empty
 * name in `credHelpers` means that this host is kept in the file itself.
 *
 * @throws RootfsError `ERR_CREDENTIALS` when the file names a helper that is no name
 */
export function findHelper(file: AuthFile, keys: readonly string[]): NamedHelper | undefined {
  for (const key of keys) {
    for (const written of spellings(file.credHelpers, key)) {
      const name = file.credHelpers[written];
      if (name === '') return undefined;
      return { name: checkHelperName(name, file.source), key, own: true };
    }
  }
  const host = keys[keys.length - 1];
  if (file.credsStore === undefined || host === undefined) return undefined;
  return { name: checkHelperName(file.credsStore, file.source), key: host, own: false };
}

/** The keys of a section that mean `key`, the exact spelling first. */
export function spellings(section: Readonly<Record<string, unknown>>, key: string): readonly string[] {
  const found = Object.keys(section).filter(
    (written) => written === key || (normalizeKey(written) === key && !isHubSession(written)),
  );
  return found.sort((a, b) => Number(b === key) - Number(a === key));
}

function checkHelperName(name: unknown, source: string): string {
  if (typeof name === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name)) return name;
  throw credentialsError(
    source,
    "a credential helper's name is expected to be letters, digits, dots and dashes, and one is not",
    'write only what follows docker-credential-, as in secretservice',
  );
}

function readEntry(value: unknown, key: string, source: string): Credential | undefined {
  if (value === undefined || value === null) return undefined;
  const wrong = (problem: string): RootfsError =>
    credentialsError(source, `the entry ${JSON.stringify(key)} ${problem}`, 'log in to it again');
  if (!isObject(value)) throw wrong('is no object');
  const field = (name: string): string | undefined => {
    const found = Object.hasOwn(value, name) ? value[name] : undefined;
    if (found === undefined || found === null || found === '') return undefined;
    if (typeof found !== 'string') throw wrong(`has a field ${name} that is no string`);
    return found;
  };
  let username = field('username');
  let password = field('password');
  // Encoders break long lines, and decoders pass over that.
  const auth = field('auth')
    ?.replace(/[\r\n]/g, '')
    .trim();
  if (auth !== undefined && auth !== '') {
    const text = BASE64.test(auth) ? decodeUtf8(Buffer.from(auth, 'base64')) : '';
    const colon = text.indexOf(':');
    if (colon < 0) throw wrong('has a field auth that is not the base64 of user:password');
    username = text.slice(0, colon);
    // Docker pads with NUL bytes in some old versions.
    password = text.slice(colon + 1).replace(/\0+$/, '');
  }
  const identityToken = field('identitytoken');
  const registryToken = field('registrytoken')?.trim();
  if (identityToken === undefined && registryToken === undefined) {
    if (username === undefined && password === undefined) return undefined;
    if (username === '<token>' && password !== undefined && password !== '') return { identityToken: password };
    return { username: username ?? '', password: password ?? '' };
  }
  return {
    ...(username === undefined || username === '' ? {} : { username }),
    ...(password === undefined || password === '' ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
}

/** Not text is no text: a guess would be a wrong password, shown to the registry until it locks the account. */
function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return '';
  }
}

function section(document: Record<string, unknown>, name: string, source: string): Record<string, unknown> {
  const value = Object.hasOwn(document, name) ? document[name] : undefined;
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw credentialsError(source, `${name} is no object`, 'correct it or log in again');
  return value;
}
