/** Identity tokens that a realm has replaced: whoever was given the old one goes on with the new one. In memory only. */
import type { CredentialProvider, FoundCredential } from './credentials.js';

// One provider's credentials are asked for by many repositories, each with its own client.
const replaced = new WeakMap<CredentialProvider, Map<string, string>>();

/** The credential with the identity token that holds by now. */
export function current(provider: CredentialProvider, found: FoundCredential | undefined): FoundCredential | undefined {
  const known = replaced.get(provider);
  let token = found?.credential.identityToken;
  for (let next = token; next !== undefined; next = known?.get(next)) token = next;
  return found === undefined || token === found.credential.identityToken ? found : withToken(found, token);
}

/** Notes that a realm gave `token` in the place of the one that was shown. @returns the credential with it */
export function replace(provider: CredentialProvider, shown: FoundCredential, token: string): FoundCredential {
  if (token === shown.credential.identityToken) return shown;
  const known = replaced.get(provider) ?? new Map<string, string>();
  replaced.set(provider, known);
  // What is given now is replaced by nothing: so no token can lead back to itself.
  known.delete(token);
  known.set(shown.credential.identityToken ?? '', token);
  return withToken(shown, token);
}

function withToken(found: FoundCredential, identityToken: string | undefined): FoundCredential {
  return { ...found, credential: { ...found.credential, identityToken } };
}
