/** Where to ask when nothing is configured: the registry itself. */
import { RootfsError } from '../errors.js';
import { apiHost, isLoopbackHost } from '../spec/reference.js';
import type { EndpointResolver } from './endpoint.js';

/** What decides how the registry itself is spoken to. */
export interface DefaultEndpointOptions {
  readonly plainHttp?: boolean | undefined;
  readonly tlsVerify?: boolean | undefined;
  readonly caFile?: string | undefined;
}

/**
 * A resolver that knows one endpoint, the registry itself: https, and plain http for loopback hosts unless something
 * about TLS was said explicitly.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for a `plainHttp` that is no boolean
 */
export function defaultEndpoints(options: DefaultEndpointOptions = {}): EndpointResolver {
  const { plainHttp } = options;
  if (plainHttp !== undefined && typeof plainHttp !== 'boolean') {
    throw new RootfsError('ERR_OPTION_INVALID', `option plainHttp: ${JSON.stringify(plainHttp)} is not true or false`, {
      detail: { option: 'plainHttp' },
    });
  }
  const tlsMeant = options.tlsVerify !== undefined || options.caFile !== undefined;
  return {
    async endpoints(host, repository) {
      const plain = plainHttp ?? (isLoopbackHost(host) && !tlsMeant);
      return [
        {
          baseUrl: `${plain ? 'http' : 'https'}://${apiHost(host)}`,
          repository,
          credentialHost: host,
          capabilities: ['pull', 'resolve', 'push'],
          source: 'default',
        },
      ];
    },
  };
}
