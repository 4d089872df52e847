/** The repository that an engine's verb works with: its own resolver, credentials and headers in the registry client. */
import type { CallOptions } from '../content/content.js';
import { wrongAnswer } from '../io/part-error.js';
import { warn } from '../progress.js';
import type { CredentialProvider } from '../registry/credentials.js';
import type { EndpointResolver } from '../registry/endpoint.js';
import type { RegistryOptions } from '../registry/registry-options.js';
import { familiarReference, type Reference } from '../spec/reference.js';
import { authConfigProvider } from './auth-config.js';
import { callPart } from './call-part.js';
import { type EngineConfig, partTimeout, type RegistryConfig } from './engine-config.js';
import {
  createRegistryResolver,
  type RegistryResolver,
  type RepositoryInfo,
  resolverEndpoints,
} from './registry-resolver.js';

/** A repository that is not opened yet. */
export interface EngineRepository {
  readonly info: RepositoryInfo;
  readonly options: RegistryOptions & { readonly endpoints: EndpointResolver };
}

/** Asks the resolver for a reference's repository, and makes the client's options. @throws RootfsError */
export async function engineRepository(
  reference: Reference,
  config: RegistryConfig,
  use: 'pull' | 'push',
): Promise<EngineRepository> {
  const timeoutMs = partTimeout(config);
  const { signal, onProgress, metaHeaders } = config;
  const resolver: RegistryResolver = config.registryResolver ?? (await createRegistryResolver(config.registry));
  const info = await callPart(
    'the registry resolver',
    (partSignal) => resolver.resolveRepository(reference, { signal: partSignal, onProgress }),
    { signal, timeoutMs },
  );
  if (typeof info?.host !== 'string' || typeof info.path !== 'string' || typeof info.name !== 'string') {
    throw wrongAnswer('the registry resolver', 'a repository with host, path and name', info);
  }
  return {
    info,
    options: {
      ...config.registry,
      credentials: await credentialsOf(reference, config, timeoutMs),
      endpoints: resolverEndpoints(resolver, info, use, timeoutMs),
      headers: joined(metaHeaders),
    },
  };
}

/** Headers as one text each; the client refuses what is none. */
function joined(headers: RegistryConfig['metaHeaders']): RegistryOptions['headers'] {
  const given = headers ?? {};
  if (typeof given !== 'object' || Symbol.iterator in given) return given as RegistryOptions['headers'];
  const texts = Object.entries(given).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]);
  return Object.fromEntries(texts) as RegistryOptions['headers'];
}

async function credentialsOf(
  reference: Reference,
  config: RegistryConfig,
  timeoutMs: number,
): Promise<CredentialProvider> {
  const { authConfig, credentials } = config;
  if (credentials !== undefined) {
    return {
      credential: (scope, call: CallOptions = {}) =>
        callPart('the credential provider', (signal) => credentials.credential(scope, { ...call, signal }), {
          signal: call.signal,
          timeoutMs,
        }),
    };
  }
  if (authConfig !== undefined) return authConfigProvider(authConfig, reference.registry);
  const { createCredentialSearch } = await import('../registry/credential-search.js');
  return createCredentialSearch({ onProgress: config.onProgress });
}

/** Tells the event logger. Its failure is a warning: what was done is done. */
export function logEvent(
  config: EngineConfig,
  reference: Reference,
  info: RepositoryInfo,
  action: 'pull' | 'push',
): void {
  const failed = (error: unknown): void => {
    const reason = error instanceof Error ? error.message : String(error);
    warn(config.onProgress, `the event logger failed: ${reason}`);
  };
  try {
    Promise.resolve(config.eventLogger?.(familiarReference(reference), info.familiarName, action)).catch(failed);
  } catch (error) {
    failed(error);
  }
}
