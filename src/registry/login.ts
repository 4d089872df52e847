/**
 * Keeping a credential for later (`login`), and forgetting it (`logout`).
 *
 * It knows auth files and helpers. It does not ask the registry whether the credential is any good: do that first.
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { warn } from '../progress.js';
import { isObject } from '../spec/parse-json.js';
import { credentialKey } from '../spec/reference.js';
import { type AuthFile, findAuthEntry, findHelper, readAuthDocument, spellings } from './auth-file.js';
import { updateAuthFile } from './auth-file-update.js';
import { checkHelperTimeout, eraseInHelper, type HelperOptions, storeInHelper } from './credential-helper.js';
import { canonicalHost, credentialKeys, isHubSession, normalizeKey, parseLoginKey } from './credential-key.js';
import {
  type CredentialPlaceOptions,
  checkCredentialPlaces,
  credentialPlaces,
  loginFile,
} from './credential-places.js';
import { readCredentialPlace } from './credential-search.js';
import { type Credential, requireCredential } from './credentials.js';
import { readOptionalFile } from './settings-file.js';

/** Options of `storeCredential` and `eraseCredential`. */
export interface LoginOptions extends CredentialPlaceOptions, CallOptions {
  /** How long a credential helper may take, in milliseconds; default 30,000. */
  readonly helperTimeoutMs?: number | undefined;
}

/** Where a credential was put, or taken from. Holds no secret. */
export interface KeptCredential {
  /** `host[:port]`, or a longer name below it. */
  readonly key: string;
  /** The auth file that was changed, or that names the helper. */
  readonly path: string;
  /** The program that keeps it; absent where the file does. */
  readonly helper?: string | undefined;
}

const SECRET_FIELDS = ['auth', 'username', 'password', 'identitytoken', 'registrytoken'];

/**
 * Keeps a credential in `authFile`, else `REGISTRY_AUTH_FILE`, else Docker's `config.json`; where that file names a
 * helper for the registry, in the helper. The file gets mode 0600 and is replaced whole; other entries and unknown
 * fields stay. An earlier place of the search that knows the registry too is told as a warning: it would win. So is
 * what the file says of a part of the registry.
 *
 * @param registry `host[:port]`, or `host[:port]/namespace` for a part of it.
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_CREDENTIALS`, `ERR_TOOL_MISSING` (the helper), `ERR_PERMISSION`,
 * `ERR_FILESYSTEM`, `ERR_NO_SPACE`; the signal's reason
 */
export async function storeCredential(
  registry: string,
  credential: Credential,
  options: LoginOptions = {},
): Promise<KeptCredential> {
  const key = parseLoginKey(registry);
  const path = checkedPath(options);
  checkCredential(key, credential);
  let helper: string | undefined;
  let parts: readonly string[] = [];
  await updateAuthFile(
    path,
    async (document) => {
      const file = readAuthDocument(document, path);
      helper = helperFor(file, key);
      parts = partsOf(file, key);
      if (helper !== undefined) await keepInHelper(helper, key, credential, helperOptions(options));
      setEntries(document, file, key, helper === undefined ? entryOf(credential) : {});
      return true;
    },
    options.signal,
  );
  const [part] = parts;
  if (part !== undefined) {
    const others = parts.length === 1 ? '' : ` and other parts of ${key}`;
    const told = `${path} also holds credentials for ${part}${others}, which will be used there instead`;
    warn(options.onProgress, `${told}; remove them there if they have ended`);
  }
  await warnOfOthers(key, path, options, 'store');
  return kept(key, path, helper);
}

/**
 * Forgets the credential that `storeCredential` would replace: in the same file, in every spelling of the key, and in
 * the helper that the file names. What other places know is told as a warning.
 *
 * @returns also `erased`: false when nothing was kept there. A file that is not there is not made.
 * @throws RootfsError as `storeCredential`; the file is changed before a helper is asked
 */
export async function eraseCredential(
  registry: string,
  options: LoginOptions = {},
): Promise<KeptCredential & { readonly erased: boolean }> {
  const key = parseLoginKey(registry);
  const path = checkedPath(options);
  let erased = false;
  let helper: string | undefined;
  if ((await readOptionalFile(path)) !== undefined) {
    await updateAuthFile(
      path,
      (document) => {
        const file = readAuthDocument(document, path);
        helper = helperFor(file, key);
        erased = removeEntries(file, key);
        return erased;
      },
      options.signal,
    );
  }
  if (helper !== undefined) {
    for (const server of new Set([credentialKey(key), key])) {
      erased = (await eraseInHelper(helper, server, helperOptions(options))) || erased;
    }
  }
  await warnOfOthers(key, path, options, 'erase');
  return { ...kept(key, path, helper), erased };
}

/** What a file says of parts of a registry: the longest key wins, whatever is kept for all of it. */
function partsOf(file: AuthFile, key: string): readonly string[] {
  const isKept = (entry: unknown): boolean => isObject(entry) && SECRET_FIELDS.some((name) => Boolean(entry[name]));
  const written = [
    ...Object.keys(file.auths).filter((name) => isKept(file.auths[name])),
    ...Object.keys(file.credHelpers),
  ];
  const parts = new Set(written.map(normalizeKey).filter((name) => name.startsWith(`${key}/`)));
  return [...parts];
}

function checkedPath(options: LoginOptions): string {
  checkCredentialPlaces(options);
  checkHelperTimeout(options.helperTimeoutMs);
  throwIfAborted(options.signal);
  return loginFile(options);
}

function kept(key: string, path: string, helper: string | undefined): KeptCredential {
  return { key, path, ...(helper === undefined ? {} : { helper: `docker-credential-${helper}` }) };
}

function helperOptions(options: LoginOptions): HelperOptions {
  return { env: options.env ?? process.env, timeoutMs: options.helperTimeoutMs, signal: options.signal };
}

/** Helpers keep whole registries; a longer key goes to a helper only where one is named for just that key. */
function helperFor(file: AuthFile, key: string): string | undefined {
  const found = findHelper(file, [key]);
  return found === undefined || (!found.own && key.includes('/')) ? undefined : found.name;
}

async function keepInHelper(name: string, key: string, credential: Credential, options: HelperOptions): Promise<void> {
  if (credential.registryToken !== undefined) {
    throw new RootfsError(
      'ERR_CREDENTIALS',
      `docker-credential-${name}: helpers keep passwords and identity tokens, no registry token; name another file`,
      { detail: { helper: `docker-credential-${name}` } },
    );
  }
  await storeInHelper(name, credentialKey(key), credential, options);
}

function checkCredential(key: string, credential: Credential): void {
  requireCredential(credential);
  const { username, password, identityToken, registryToken } = credential;
  const refuse = (problem: string): RootfsError =>
    new RootfsError('ERR_OPTION_INVALID', `${key}: ${problem}`, { detail: { key } });
  if (username?.includes(':') === true) {
    throw refuse('a user name must not contain a colon; is it user and password in one?');
  }
  if (identityToken !== undefined || registryToken !== undefined) return;
  if (username === undefined || username === '') throw refuse('a user name is missing; give one');
  if (password === undefined || password === '') throw refuse('a password is missing; give one');
}

function entryOf({ username, password, identityToken, registryToken }: Credential): Record<string, unknown> {
  const hasLogin = username !== undefined || password !== undefined;
  return {
    ...(hasLogin ? { auth: Buffer.from(`${username ?? ''}:${password ?? ''}`).toString('base64') } : {}),
    ...(identityToken === undefined ? {} : { identitytoken: identityToken }),
    ...(registryToken === undefined ? {} : { registrytoken: registryToken }),
  };
}

function setEntries(
  document: Record<string, unknown>,
  file: AuthFile,
  key: string,
  secret: Record<string, unknown>,
): void {
  const found = spellings(file.auths, key);
  const auths = { ...file.auths };
  for (const written of found.length === 0 ? [credentialKey(key)] : found) {
    const old = Object.hasOwn(auths, written) ? auths[written] : undefined;
    const fields = typeof old === 'object' && old !== null ? Object.entries(old) : [];
    auths[written] = { ...Object.fromEntries(fields.filter(([name]) => !SECRET_FIELDS.includes(name))), ...secret };
  }
  document['auths'] = auths;
}

function removeEntries(file: AuthFile, key: string): boolean {
  // Docker's own session with the Hub ends with the login there.
  const session = Object.keys(file.auths).filter((written) => key === 'docker.io' && isHubSession(written));
  const found = [...spellings(file.auths, key), ...session];
  for (const written of found) delete (file.auths as Record<string, unknown>)[written];
  return found.length > 0;
}

async function warnOfOthers(key: string, path: string, options: LoginOptions, verb: 'store' | 'erase'): Promise<void> {
  const slash = key.indexOf('/');
  const host = canonicalHost(slash < 0 ? key : key.slice(0, slash));
  const keys = credentialKeys({ host, repository: slash < 0 ? undefined : key.slice(slash + 1) });
  for (const place of credentialPlaces(options)) {
    if (place.kind === 'file' && place.path === path) {
      if (verb === 'store') return;
      continue;
    }
    try {
      const file = await readCredentialPlace(place);
      if (file === undefined) continue;
      const knows = findHelper(file, keys)?.own === true || findAuthEntry(file, keys)?.credential !== undefined;
      if (!knows) continue;
      warn(
        options.onProgress,
        verb === 'store'
          ? `${place.source} is read before ${path} and holds credentials for ${key}, which will be used instead; remove them there`
          : `${place.source} still holds credentials for ${key}; remove them there too`,
      );
    } catch (error) {
      if (!(error instanceof RootfsError)) throw error;
      warn(options.onProgress, `${error.message} (it is read when credentials for ${key} are looked for)`);
    }
  }
}
