/** What was shown to a registry must not come back in what it says: some quote the header that they refuse. Pure. */
import type { Credential } from './credentials.js';

/** Shorter texts are left alone: they stand in ordinary words too. */
const SHORTEST_SECRET = 4;

/** What must not stand in a message: an Authorization header's value, and everything that a credential can be shown as. */
export function secretsOf(credential: Credential | undefined, shown?: string | undefined): readonly string[] {
  const { username, password, identityToken, registryToken } = credential ?? {};
  const value = shown?.slice(shown.indexOf(' ') + 1);
  const secrets = [value, password, identityToken, registryToken];
  if (value !== undefined && shown?.startsWith('Basic ') === true) {
    const login = Buffer.from(value, 'base64').toString('utf8');
    secrets.push(login.slice(login.indexOf(':') + 1));
  }
  for (const secret of [password, identityToken]) {
    if (secret !== undefined) secrets.push(Buffer.from(`${username ?? '<token>'}:${secret}`).toString('base64'));
  }
  return secrets.filter((secret) => secret !== undefined && secret.length >= SHORTEST_SECRET) as string[];
}

/** A text without the secrets: as they are, as JSON writes them, as a form or a query does. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  const written = new Set(
    secrets.flatMap((secret) => {
      const form = new URLSearchParams({ x: secret }).toString().slice(2);
      // An answer in JSON may quote JSON.
      return [secret, inJson(secret), inJson(inJson(secret)), form, form.replaceAll('+', '%20')];
    }),
  );
  // The longest first: one may be a part of another.
  const longestFirst = [...written].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((left, secret) => left.replaceAll(secret, '…'), text);
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
