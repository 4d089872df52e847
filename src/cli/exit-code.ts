/** The exit codes that scripts may rely on. */
import type { ErrorCode } from '../index.js';

/** Exit codes by meaning. */
export const ExitCode = {
  done: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  integrity: 5,
  network: 6,
  interrupted: 130,
} as const;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  ERR_OPTION_INVALID: ExitCode.usage,
  ERR_REFERENCE_INVALID: ExitCode.usage,
  ERR_DIGEST_INVALID: ExitCode.usage,
  ERR_PLATFORM_INVALID: ExitCode.usage,
  ERR_NOT_FOUND: ExitCode.notFound,
  ERR_PLATFORM_NOT_FOUND: ExitCode.notFound,
  ERR_UNAUTHORIZED: ExitCode.denied,
  ERR_DENIED: ExitCode.denied,
  ERR_DIGEST_MISMATCH: ExitCode.integrity,
  ERR_SIZE_MISMATCH: ExitCode.integrity,
  ERR_DIFFID_MISMATCH: ExitCode.integrity,
  ERR_DECOMPRESS: ExitCode.integrity,
  ERR_TAR_INVALID: ExitCode.integrity,
  ERR_MANIFEST_INVALID: ExitCode.integrity,
  ERR_CONFIG_INVALID: ExitCode.integrity,
  ERR_LAYOUT_INVALID: ExitCode.integrity,
  ERR_ARCHIVE_INVALID: ExitCode.integrity,
  ERR_LAYER_INVALID: ExitCode.integrity,
  ERR_LIMIT_EXCEEDED: ExitCode.integrity,
  ERR_NETWORK: ExitCode.network,
  ERR_TIMEOUT: ExitCode.network,
  ERR_TLS: ExitCode.network,
  ERR_RATE_LIMITED: ExitCode.network,
  ERR_REGISTRY: ExitCode.network,
  ERR_RANGE_INVALID: ExitCode.network,
};

/** The exit code for an error's code. */
export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code] ?? ExitCode.failure;
}

/** The exit code of a run that a signal ended: what shells give. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  if (signal === 'SIGHUP') return 129;
  return signal === 'SIGTERM' ? 143 : ExitCode.interrupted;
}
