/** Where a redirect may lead. */
import { RootfsError } from '../errors.js';
import { shownUrl } from './network-error.js';

/** The longest chain of redirects that is followed. */
export const MAX_REDIRECTS = 10;

/**
 * Whether an answer is a redirect that is followed. What is written is sent on as it is or not at all: 303 would have
 * something else read in its place, and that taken for the answer.
 */
export function isRedirect(status: number, method = 'GET'): boolean {
  if (status === 303) return method === 'GET' || method === 'HEAD';
  return status === 301 || status === 302 || status === 307 || status === 308;
}

/**
 * A URL out of a header, its bytes past ASCII written as URLs write them: headers are read as Latin-1, and a name in UTF-8
 * would be encoded twice.
 */
export function headerUrl(text: string): string {
  return text.replace(/[\u0080-\u00ff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * The next URL of a redirect: absolute or relative, http or https, never from https down to http.
 *
 * @throws RootfsError `ERR_REGISTRY` for a missing, unreadable or forbidden Location
 */
export function redirectTarget(from: URL, header: string | undefined): URL {
  const location = header === undefined ? undefined : headerUrl(header);
  const refuse = (problem: string): RootfsError =>
    new RootfsError(
      'ERR_REGISTRY',
      `${from.host}: redirect refused: ${problem}; the registry or a proxy before it is misconfigured, ask who runs it`,
      { detail: { url: shownUrl(from) } },
    );
  if (location === undefined || location === '') throw refuse('it does not say where to (no Location header)');
  if (location.length > 16_384 || !URL.canParse(location, from.href)) throw refuse('its Location is no URL');
  const to = new URL(location, from);
  if (to.protocol !== 'http:' && to.protocol !== 'https:') {
    throw refuse(`it leads to a ${to.protocol.slice(0, 20)} address, and only http and https are followed`);
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw refuse(`it leads from https down to plain http (${to.host})`);
  }
  if (to.username !== '' || to.password !== '') throw refuse('its Location holds a user name or password');
  to.hash = '';
  return to;
}
