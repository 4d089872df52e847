/** Where a registry says that tokens are had: whoever runs it chooses, within bounds. */
import { RootfsError } from '../errors.js';
import { isLoopbackHost } from '../spec/reference.js';
import { shownUrl } from './network-error.js';

/**
 * Reads the realm of a challenge: http or https, and not http where the registry speaks https. A path alone is one of
 * the registry's own.
 *
 * @param registry The origin that named it.
 * @throws RootfsError `ERR_REGISTRY` for a realm that must not be asked
 */
export function checkedRealm(named: string, registry: URL): URL {
  const text = /^\/(?![/\\])/.test(named) ? `${registry.origin}${named}` : named;
  const refuse = (problem: string): RootfsError =>
    new RootfsError('ERR_REGISTRY', `${registry.host}: token realm refused: ${problem}; ask who runs it`, {
      detail: { host: registry.host, ...(URL.canParse(text) ? { realm: shownUrl(new URL(text)) } : {}) },
    });
  if (text.length > 4096 || !URL.canParse(text)) throw refuse('the WWW-Authenticate header names no absolute URL');
  const realm = new URL(text);
  if (realm.protocol !== 'http:' && realm.protocol !== 'https:') {
    throw refuse(`it is a ${realm.protocol.slice(0, 20)} address, and only http and https are asked`);
  }
  if (realm.protocol === 'http:' && registry.protocol === 'https:') {
    throw refuse('it is plain http while the registry speaks https');
  }
  if (realm.username !== '' || realm.password !== '') throw refuse('it holds a user name or password');
  realm.hash = '';
  return realm;
}

/** The same machine, or two names under one parent domain of at least two labels. */
export function isRelatedHost(a: string, b: string): boolean {
  if (a === b || (isLoopbackHost(a) && isLoopbackHost(b))) return true;
  const parents = (host: string): string[] => {
    const labels = host.split('.');
    const parent = labels.slice(1).join('.');
    return labels.length > 2 && !/^[\d.]+$/.test(host) ? [host, parent] : [host];
  };
  return parents(a).some((name) => parents(b).includes(name));
}
