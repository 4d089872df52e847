/** What the verbs of this room throw, whatever went wrong below them. */
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';

/**
 * Turns what was caught into what is thrown: the signal's own reason after an abort, our errors as they are, system
 * errors wrapped, and what a source of somebody else's threw as `ERR_INTERNAL`, cause kept.
 */
export function imageFailure(error: unknown, name: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof RootfsError) return error;
  if (systemErrorCode(error)?.startsWith('E') === true) return wrapSystemError(error, name);
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError('ERR_INTERNAL', `${name}: the source failed (${reason}); its cause says where`, {
    cause: error,
    detail: { image: name },
  });
}
