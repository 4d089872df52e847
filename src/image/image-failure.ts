/** What the verbs of this room throw, whatever went wrong below them. */
import { isSystemError, RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';

/**
 * Turns what was caught into what is thrown: the signal's own reason after an abort, our errors as they are, system
 * errors wrapped, a stream that closed too early as `ERR_NETWORK`, and what a source of somebody else's threw as
 * `ERR_INTERNAL`, cause kept.
 *
 * @param whose Who may have thrown what is none of ours, for the message.
 */
export function imageFailure(
  error: unknown,
  name: string,
  signal: AbortSignal | undefined,
  whose = 'the source',
): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof RootfsError) return error;
  const errno = systemErrorCode(error);
  if (errno === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new RootfsError('ERR_NETWORK', `${name}: a stream closed before its end; try again`, {
      cause: error,
      detail: { image: name, errno },
    });
  }
  if (isSystemError(error)) return wrapSystemError(error, name);
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError('ERR_INTERNAL', `${name}: ${whose} failed (${reason}); its cause says where`, {
    cause: error,
    detail: { image: name },
  });
}
