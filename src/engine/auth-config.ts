/** Credentials as engines hand them over: one login for one pull or push. */
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import { canonicalHost } from '../registry/credential-key.js';
import type { Credential, CredentialProvider } from '../registry/credentials.js';

/** One login. Nothing of it is kept, logged or shown in an error. */
export interface AuthConfig {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** `user:password` in base64, as auth files have it; used where `username` is absent or empty. */
  readonly auth?: string | undefined;
  /** The registry it is for, as host or URL. Absent: the one that the reference names. */
  readonly serverAddress?: string | undefined;
  /** OAuth2 refresh token. */
  readonly identityToken?: string | undefined;
  /** Bearer token that is sent as it is. */
  readonly registryToken?: string | undefined;
}

const FIELDS = ['username', 'password', 'auth', 'serverAddress', 'identityToken', 'registryToken'] as const;

/**
 * A provider that knows one login and shows it to one host. An empty login means: go as nobody.
 *
 * @param host The registry of the reference.
 * @throws RootfsError `ERR_CREDENTIALS` for an `auth` that is none, `ERR_OPTION_INVALID` for what is no login
 */
export function authConfigProvider(auth: AuthConfig, host: string): CredentialProvider {
  if (typeof auth !== 'object' || auth === null) {
    throw partError('authConfig', 'a login', auth, 'leave it out for what this machine knows, or give {} for nobody');
  }
  for (const field of FIELDS) {
    const value: unknown = auth[field];
    if (value === undefined || typeof value === 'string') continue;
    throw partError(`authConfig.${field}`, 'a text', value, 'leave it out, or give one');
  }
  const server = auth.serverAddress === undefined || auth.serverAddress === '' ? host : hostOf(auth.serverAddress);
  const credential = credentialOf(auth);
  const found = credential === undefined ? undefined : { credential, source: 'authConfig' };
  return { credential: async (scope) => (scope.host === server ? found : undefined) };
}

/** Docker's own address of Docker Hub is a URL with a path. */
function hostOf(address: string): string {
  return canonicalHost(address.replace(/^https?:\/\//, '').replace(/\/.*$/, ''));
}

function credentialOf(auth: AuthConfig): Credential | undefined {
  const { identityToken, registryToken } = auth;
  let { username, password } = auth;
  if ((username ?? '') === '' && auth.auth !== undefined && auth.auth !== '') {
    const text = Buffer.from(auth.auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    if (colon < 1) {
      throw new RootfsError(
        'ERR_CREDENTIALS',
        'authConfig.auth: not user:password in base64; give username and password',
      );
    }
    username = text.slice(0, colon);
    // Docker pads what it writes.
    password = text.slice(colon + 1).replace(/\0+$/, '');
  }
  const given = [username, password, identityToken, registryToken].some((text) => text !== undefined && text !== '');
  if (!given) return undefined;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined || identityToken === '' ? {} : { identityToken }),
    ...(registryToken === undefined || registryToken === '' ? {} : { registryToken }),
  };
}
