/** Whether a registry takes a credential: asked before it is kept. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { parseLoginKey } from './credential-key.js';
import { type Credential, requireCredential } from './credentials.js';
import { defaultEndpoints } from './default-endpoints.js';
import type { EndpointResolver } from './endpoint.js';
import { isHtml, isPage } from './manifest-answer.js';
import { machineOptions, type OpenRegistryOptions } from './open-repository.js';
import { registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';

/** More than a registry says at its root: quay.io says `true`, and calls it a page. */
const MAX_ROOT_BODY = 1024 * 1024;

/**
 * Asks a registry whether it takes a credential: one request to the API's root, answered with a token where it wants
 * one. A registry that asks nobody who they are takes every credential; a web page is no registry. Mirrors, and what
 * files have asked in its place, are other registries, with credentials of their own.
 *
 * @param registry `host[:port]`, or `host[:port]/namespace`.
 * @throws RegistryError `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_RATE_LIMITED`, `ERR_REGISTRY`
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_NETWORK`, `ERR_TIMEOUT`, `ERR_TLS`, `ERR_REGISTRY` (a web page); the
 *   signal's own reason
 */
export async function checkLogin(
  registry: string,
  credential: Credential,
  options: Omit<OpenRegistryOptions, 'credential' | 'credentials' | 'findCredentials' | 'authFile'> & CallOptions = {},
): Promise<void> {
  const key = parseLoginKey(registry);
  requireCredential(credential);
  const host = key.split('/', 1)[0] ?? key;
  const settings = registrySettings(await machineOptions(host, { ...options, credential, findCredentials: false }));
  const endpoints = itself(settings.endpoints, defaultEndpoints(options));
  const session = new RegistrySession(host, '', { ...settings, endpoints });
  const subject = { kind: 'registry', registry: host, repository: host, name: host } as const;
  await session.onEndpoints(
    'push',
    host,
    options,
    async (endpoint) => {
      const response = await session.request(
        endpoint,
        { method: 'GET', path: '', scopes: [], subject, accept: [200] },
        options,
      );
      const type = response.headers.get('content-type');
      if (!isHtml(type)) return response.body.discard();
      const body = await response.body.bytes({ bytes: MAX_ROOT_BODY, withinMs: response.timeoutMs }, host);
      if (isPage(body, type)) {
        throw new RootfsError(
          'ERR_REGISTRY',
          `${host}: a web page answered, no registry; check the host, and whether a portal or proxy is in between`,
          { detail: { host: response.url.host } },
        );
      }
    },
    { registryFirst: true },
  );
}

/** The registry that a credential is for, whatever it may be asked for: what files ask in its place is shown none of it. */
function itself(resolver: EndpointResolver, usual: EndpointResolver): EndpointResolver {
  return {
    async endpoints(host, ...asked) {
      const all = await resolver.endpoints(host, ...asked);
      if (!Array.isArray(all)) return all;
      const own = all.filter(({ credentialHost }) => credentialHost === host);
      const found = own.length === 0 ? await usual.endpoints(host, ...asked) : own;
      return found.map((endpoint) => ({ ...endpoint, capabilities: ['push'] }));
    },
  };
}
