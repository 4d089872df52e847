/**
 * Finds the credential for a registry in the places where people keep them.
 *
 * It knows files and helpers; it does not know requests. Nothing is remembered between two questions: whoever rotates
 * a secret is believed at the next one. Hosts are compared exactly, port included.
 */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { type ProgressListener, warn } from '../progress.js';
import { credentialKey } from '../spec/reference.js';
import {
  type AuthFile,
  credentialsError,
  findAuthEntry,
  findHelper,
  type NamedHelper,
  parseAuthFile,
} from './auth-file.js';
import { askHelper, checkHelperTimeout, type HelperAnswer } from './credential-helper.js';
import { canonicalHost, credentialKeys } from './credential-key.js';
import {
  type CredentialPlace,
  type CredentialPlaceOptions,
  checkCredentialPlaces,
  credentialPlaces,
} from './credential-places.js';
import {
  type Credential,
  type CredentialProvider,
  type CredentialScope,
  type FoundCredential,
  GIVEN_CREDENTIAL,
} from './credentials.js';
import { readOptionalFile } from './settings-file.js';

/** A credential that somebody gave for one registry. */
export interface ExplicitCredential {
  /** The registry it is for, and for no other: mirrors and redirects do not get it. */
  readonly host: string;
  readonly credential: Credential;
  /** Where it was given, for people; default `--creds`. */
  readonly source?: string | undefined;
}

/** Options of `createCredentialSearch`. */
export interface CredentialSearchOptions extends CredentialPlaceOptions {
  /** Asked before any place, in order. */
  readonly explicit?: readonly ExplicitCredential[] | undefined;
  /** How long a credential helper may take, in milliseconds; default 30,000. */
  readonly helperTimeoutMs?: number | undefined;
  /** Hears warnings where the call brings no listener of its own. */
  readonly onProgress?: ProgressListener | undefined;
}

/** The most warnings that are remembered as told. */
const MAX_TOLD = 1_000;

/**
 * Makes the provider that searches, in this order: `explicit`; `DOCKER_AUTH_CONFIG`; `REGISTRY_AUTH_FILE`;
 * `$XDG_RUNTIME_DIR/containers/auth.json`; `$XDG_CONFIG_HOME/containers/auth.json`; Docker's `config.json`. With
 * `authFile`, only `explicit` and that file. The first place that knows the registry wins; inside a place the longest
 * key does (`host/namespace/repository` before `host`), helpers before `auths`.
 *
 * A helper that is missing, fails or knows nothing is passed over, with a warning; `credsStore`, which is asked for
 * every registry, may know nothing in silence. One provider says the same only once.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`; the provider throws `ERR_CREDENTIALS` for a place that cannot be read,
 * naming it and never its content, and the caller's own abort reason
 */
export function createCredentialSearch(options: CredentialSearchOptions = {}): CredentialProvider {
  checkCredentialPlaces(options);
  checkHelperTimeout(options.helperTimeoutMs);
  const told = new Set<string>();
  return {
    authFile: options.authFile,
    async credential(scope: CredentialScope, call: CallOptions = {}): Promise<FoundCredential | undefined> {
      throwIfAborted(call.signal);
      const host = canonicalHost(scope.host);
      for (const given of options.explicit ?? []) {
        if (canonicalHost(given.host) === host)
          return { credential: given.credential, source: given.source ?? GIVEN_CREDENTIAL };
      }
      const search = new Search(options, call, told);
      for (const place of credentialPlaces(options)) {
        const found = await search.lookIn(place, scope);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

/**
 * Reads one place. `undefined`: nothing is there.
 *
 * @throws RootfsError `ERR_CREDENTIALS`
 */
export async function readCredentialPlace(place: CredentialPlace): Promise<AuthFile | undefined> {
  if (place.kind === 'text') return parseAuthFile(place.text, place.source);
  let text: string | undefined;
  try {
    text = await readOptionalFile(place.path);
  } catch (error) {
    if (!(error instanceof RootfsError)) throw error;
    throw new RootfsError('ERR_CREDENTIALS', error.message, { cause: error, detail: { source: place.path } });
  }
  if (text !== undefined) return parseAuthFile(text, place.source);
  if (place.required) throw credentialsError(place.source, 'no such auth file', 'correct the path, or log in first');
  return undefined;
}

class Search {
  readonly #options: CredentialSearchOptions;
  readonly #call: CallOptions;
  readonly #told: Set<string>;

  constructor(options: CredentialSearchOptions, call: CallOptions, told: Set<string>) {
    this.#told = told;
    this.#options = options;
    this.#call = call;
  }

  async lookIn(place: CredentialPlace, scope: CredentialScope): Promise<FoundCredential | undefined> {
    const file = await readCredentialPlace(place);
    if (file === undefined) return undefined;
    const keys = credentialKeys(scope);
    const entry = findAuthEntry(file, keys);
    const helper = findHelper(file, keys);
    // A key longer than the helper's was written for just this part of the registry.
    const closer = entry?.credential !== undefined && helper !== undefined && entry.key.length > helper.key.length;
    if (helper !== undefined && !closer) {
      const answer = await this.#ask(helper);
      if (answer.kind === 'found') {
        return { credential: answer.credential, source: `docker-credential-${helper.name} (named in ${file.source})` };
      }
      const promised = helper.own || (entry !== undefined && entry.credential === undefined);
      this.#warn(helper, file, answer, promised);
    }
    if (entry?.credential === undefined) return undefined;
    return { credential: entry.credential, source: file.source };
  }

  async #ask(helper: NamedHelper): Promise<HelperAnswer> {
    const run = {
      env: this.#options.env ?? process.env,
      timeoutMs: this.#options.helperTimeoutMs,
      signal: this.#call.signal,
    };
    const answer = await askHelper(helper.name, credentialKey(helper.key), run);
    if (answer.kind !== 'unknown' || helper.key !== 'docker.io') return answer;
    // The containers tools store Docker Hub under its short name.
    return await askHelper(helper.name, helper.key, run);
  }

  #warn(helper: NamedHelper, file: AuthFile, answer: HelperAnswer, promised: boolean): void {
    if (answer.kind === 'found' || (answer.kind === 'unknown' && !promised)) return;
    const problem = answer.kind === 'unknown' ? `it knows no credentials for ${helper.key}` : answer.reason;
    const message = `docker-credential-${helper.name}, named in ${file.source}: ${problem}; going on without it`;
    if (this.#told.has(message)) return;
    if (this.#told.size < MAX_TOLD) this.#told.add(message);
    warn(this.#call.onProgress ?? this.#options.onProgress, message);
  }
}
