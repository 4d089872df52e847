/** How a registry would be reached from this machine, and as whom: for people who wonder. Nothing is asked of it. */
import type { CallOptions } from '../content/content.js';
import { parseReference } from '../spec/reference.js';
import { defaultEndpoints } from './default-endpoints.js';
import { type EndpointExplanation, explainEndpoint } from './explain-endpoint.js';
import { machineOptions, type OpenRegistryOptions } from './open-repository.js';

/** An endpoint, and whose credentials it would be shown. */
export interface ExplainedEndpoint extends EndpointExplanation {
  /** Where its credentials come from: a path, an option, a helper's name. Absent: it is asked as nobody. */
  readonly credentialSource?: string | undefined;
}

/** The way to a registry. Holds no secret. */
export interface RegistryExplanation {
  readonly registry: string;
  readonly repository: string;
  /** In the order in which they are asked. */
  readonly endpoints: readonly ExplainedEndpoint[];
}

/**
 * Says which endpoints would be asked for an image, in order, and where the credentials for each come from.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_OPTION_INVALID`, `ERR_CREDENTIALS`, `ERR_DENIED` (blocked by this
 *   machine's settings); the signal's own reason
 */
export async function explainRegistry(
  text: string,
  options: OpenRegistryOptions & CallOptions = {},
): Promise<RegistryExplanation> {
  const { registry, repository, digest, tag } = parseReference(text);
  const found = await machineOptions(registry, options);
  const call = { signal: options.signal, onProgress: options.onProgress };
  const resolver = found.endpoints ?? defaultEndpoints(found);
  const endpoints: ExplainedEndpoint[] = [];
  for (const endpoint of await resolver.endpoints(registry, repository, { ...call, reference: digest ?? tag })) {
    const scope = { host: endpoint.credentialHost, repository: endpoint.repository };
    const credential = await found.credentials?.credential(scope, call);
    endpoints.push({
      ...explainEndpoint(endpoint),
      ...(credential === undefined ? {} : { credentialSource: credential.source }),
    });
  }
  return { registry, repository, endpoints };
}
