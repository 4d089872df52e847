/** What to do where a login is missing or was refused, so that the next run comes across it. */
import { isAbsolute } from 'node:path';
import { shellQuote } from '../io/shell-quote.js';
import { loginFile, TEXT_SOURCE } from './credential-places.js';
import { GIVEN_CREDENTIAL } from './credentials.js';

/**
 * The command that keeps a login for a registry.
 *
 * @param authFile The only file that credentials are looked for in, where there is one.
 */
export function loginCommand(registry: string, authFile: string | undefined): string {
  return `rootfs login ${authFile === undefined ? '' : `--authfile ${shellQuote(authFile)} `}${registry}`;
}

/**
 * What to do about a credential that was refused: it is replaced where it was found, since one that is kept in a place
 * which is read later would not be asked for.
 *
 * @param source Where it was found, as `FoundCredential` tells it.
 */
export function loginAdvice(source: string, registry: string, authFile: string | undefined): string {
  // Logging in does not help who has just said who they are.
  if (source === GIVEN_CREDENTIAL) return 'check the user name and the password';
  const place = / \(named in (.+)\)$/s.exec(source)?.[1] ?? source;
  if (place === TEXT_SOURCE) return `correct ${TEXT_SOURCE}, which is read before any file`;
  const earlier = isAbsolute(place) && place !== loginFile({}) ? place : undefined;
  return `run: ${loginCommand(registry, authFile ?? earlier)}`;
}
