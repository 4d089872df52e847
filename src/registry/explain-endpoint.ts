/** What may be shown of an endpoint: everything but secrets. */
import type { Endpoint, EndpointCapability } from './endpoint.js';

/** An endpoint as plain JSON for people: no key, no header's value, no certificate. */
export interface EndpointExplanation {
  readonly url: string;
  readonly repository: string;
  /** The registry it stands in for; absent for the registry itself. */
  readonly mirrorOf?: string | undefined;
  readonly credentialHost: string;
  readonly capabilities: readonly EndpointCapability[];
  /** `none`: plain http; `unverified`: https with any certificate. */
  readonly tls: 'none' | 'unverified' | 'verified';
  /** Authorities are trusted beside the system's. */
  readonly ownAuthorities: boolean;
  readonly clientCertificate: boolean;
  /** Names of headers that are added to requests. */
  readonly headers: readonly string[];
  /** The files that say so, or `default`. */
  readonly source: string;
}

/** Says what an endpoint is, without its secrets. Pure. */
export function explainEndpoint(endpoint: Endpoint): EndpointExplanation {
  const { tls } = endpoint;
  const verified = tls?.skipVerify === true ? 'unverified' : 'verified';
  return {
    url: endpoint.overridePath === true ? endpoint.baseUrl : `${endpoint.baseUrl}/v2`,
    repository: endpoint.repository,
    ...(endpoint.mirrorOf === undefined ? {} : { mirrorOf: endpoint.mirrorOf }),
    credentialHost: endpoint.credentialHost,
    capabilities: endpoint.capabilities,
    tls: endpoint.baseUrl.startsWith('http:') ? 'none' : verified,
    ownAuthorities: (tls?.ca ?? []).length > 0,
    clientCertificate: tls?.cert !== undefined,
    headers: Object.keys(endpoint.headers ?? {}),
    source: endpoint.source,
  };
}
