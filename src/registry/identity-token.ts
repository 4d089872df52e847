/** Identity tokens that a realm has replaced: whoever was given the old one goes on with the new one. In memory only. */
import type { FoundCredential } from './credentials.js';

/** How many are remembered; the oldest are forgotten first. */
const MAX_REPLACED = 1_000;

// The process's, by registry and old token: each repository has a client, and may have a provider, of its own.
const replaced = new Map<string, string>();

/** The credential for a registry with the identity token that holds by now. */
export function current(host: string, found: FoundCredential | undefined): FoundCredential | undefined {
  let token = found?.credential.identityToken;
  for (let next = token; next !== undefined; next = replaced.get(`${host} ${next}`)) token = next;
  return found === undefined || token === found.credential.identityToken ? found : withToken(found, token);
}

/** Notes that a registry's realm gave `token` in the place of the one that was shown. @returns the credential with it */
export function replace(host: string, shown: FoundCredential, token: string): FoundCredential {
  if (token === shown.credential.identityToken) return shown;
  // What is given now is replaced by nothing: so no token can lead back to itself.
  replaced.delete(`${host} ${token}`);
  replaced.set(`${host} ${shown.credential.identityToken}`, token);
  for (const oldest of replaced.keys()) if (replaced.size > MAX_REPLACED) replaced.delete(oldest);
  return withToken(shown, token);
}

/** Notes that a replacement is not taken: what it stood for is shown again. */
export function refused(host: string, { credential: { identityToken } }: FoundCredential): void {
  for (const [old, token] of replaced) if (token === identityToken && old.startsWith(`${host} `)) replaced.delete(old);
}

function withToken(found: FoundCredential, identityToken: string | undefined): FoundCredential {
  return { ...found, credential: { ...found.credential, identityToken } };
}
