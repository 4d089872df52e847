/**
 * Refusals that mean what was shown, whatever their status says: some registries answer 400 or 403 to a token that has
 * run out, and say so in words only.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3.1
 */
import { type Challenge, parseChallenges } from './challenge.js';
import { errorEntries } from './refusal-reason.js';
import type { WireHeaders } from './wire.js';

/** What a challenge calls a token that has run out, or is good for less. */
const ERRORS = new Set(['invalid_token', 'insufficient_scope']);

/** How registries put it that name no such error. */
const TOKEN_ENDED = /\btoken\b[^.]{0,40}\b(?:expired|invalid)\b|\b(?:expired|invalid)\b[^.]{0,20}\btoken\b/i;

/** Whether a status other than 401 may mean what was shown. */
export function mayMeanToken(status: number, shown: string | undefined): boolean {
  return shown !== undefined && (status === 400 || status === 403);
}

/** Whether a refusal says that what was shown is no longer good, or not good for this. */
export function meansToken(headers: WireHeaders, body: string): boolean {
  const challenges = parseChallenges(headers.all('www-authenticate'));
  if (challenges.some(({ parameters }) => ERRORS.has(parameters.get('error') ?? ''))) return true;
  return errorEntries(body).some(({ message }) => TOKEN_ENDED.test(message ?? ''));
}

/** The challenge that a place gave before, for refusals without one: some do not repeat it when a token has run out. */
export function askedBefore(
  bearer: { readonly realm: URL; readonly service: string | undefined } | undefined,
): Challenge | undefined {
  if (bearer === undefined) return undefined;
  const parameters = new Map([['realm', bearer.realm.href]]);
  if (bearer.service !== undefined) parameters.set('service', bearer.service);
  return { scheme: 'bearer', parameters };
}
