/** Several endpoints failed: one error that says what matters and keeps the rest. */
import { RegistryError, RootfsError } from '../errors.js';
import type { Endpoint } from './endpoint.js';

/**
 * The error of a request that every endpoint failed: the registry's own decides, those of mirrors go into its detail.
 *
 * @param last Stands for the registry where its files know it under another host only (`server` of hosts.toml).
 */
export function combineFailures(
  failures: readonly { endpoint: Endpoint; error: RootfsError }[],
  last?: Endpoint | undefined,
): RootfsError {
  // A registry without TLS proof is listed as https and as http: an answer says more than a failed handshake.
  const own = failures.filter(({ endpoint }) => endpoint.mirrorOf === undefined);
  const deciding =
    own.find(({ error }) => error instanceof RegistryError) ??
    own[0] ??
    failures.find(({ endpoint }) => endpoint === last) ??
    failures.at(-1);
  if (deciding === undefined) throw new RootfsError('ERR_INTERNAL', 'no endpoint was asked');
  const mirrors = failures.filter((failure) => failure !== deciding);
  if (mirrors.length === 0) return deciding.error;
  const { error } = deciding;
  const detail = {
    ...error.detail,
    mirrors: mirrors.map(({ endpoint, error: { code, message } }) => ({ url: endpoint.baseUrl, code, message })),
  };
  return error instanceof RegistryError
    ? new RegistryError(error.code, error.message, error, { cause: error, detail })
    : new RootfsError(error.code, error.message, { cause: error, detail });
}
