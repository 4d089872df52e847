/** Who we are to a registry: what a credential is, and who gives one. Where they are kept stands in other files. */
import type { CallOptions } from '../content/content.js';
import { partError, wrongAnswer } from '../io/part-error.js';

/** What may be shown to a registry. Never logged, never part of an error. */
export interface Credential {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** OAuth2 refresh token (`identitytoken`): exchanged at the realm, never sent to the registry itself. */
  readonly identityToken?: string | undefined;
  /** Bearer token (`registrytoken`) sent as it is. */
  readonly registryToken?: string | undefined;
}

/** Checks that a caller without a type checker gave a credential. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireCredential(credential: Credential): void {
  if (typeof credential !== 'object' || credential === null)
    throw partError('credential', 'a credential', credential, 'give { username, password }');
  const { username, password, identityToken, registryToken } = credential;
  for (const field of [username, password, identityToken, registryToken]) {
    if (field !== undefined && typeof field !== 'string')
      throw partError('credential', 'text in each field', field, 'give { username, password }');
  }
}

/** What a credential is asked for. */
export interface CredentialScope {
  /** Host and, if not the default, port, as in the reference: `registry.example:5000`, `docker.io`. */
  readonly host: string;
  /** The repository, where one is meant: keys of auth files may be as long as `host/namespace/repository`. */
  readonly repository?: string | undefined;
}

/** The source of a credential that was given, and not found: by `--creds`, on stdin, or as an option of a call. */
export const GIVEN_CREDENTIAL = 'the options given';

/** A credential, and where it was found (a path, `the options given`, a helper's name): to be told to people, holds no secret. */
export interface FoundCredential {
  readonly credential: Credential;
  readonly source: string;
}

/** Gives credentials. `undefined` means: go on as nobody. */
export interface CredentialProvider {
  /** The only file that is asked, where there is one: whoever is to log in is told to keep the login there. */
  readonly authFile?: string | undefined;
  credential(scope: CredentialScope, options?: CallOptions): Promise<FoundCredential | undefined>;
}

/** Asks a provider, which may be anybody's. @throws what it throws, RootfsError `ERR_INTERNAL` for an answer that is none */
export async function askProvider(
  provider: CredentialProvider,
  scope: CredentialScope,
  call: CallOptions,
): Promise<FoundCredential | undefined> {
  const found = (await provider.credential(scope, call)) ?? undefined;
  const { credential } = found ?? {};
  if (found === undefined || (typeof credential === 'object' && credential !== null)) return found;
  throw wrongAnswer('the credential provider', 'a credential and its source', found);
}
