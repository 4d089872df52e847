/** What a failure means for what was fetched so far, and how foreign errors are told. */
import { type ErrorCode, RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import type { Digest } from '../spec/digest.js';

const ON_THE_WAY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_NETWORK',
  'ERR_TIMEOUT',
  'ERR_TLS',
  'ERR_RATE_LIMITED',
  'ERR_REGISTRY',
  'ERR_UNAUTHORIZED',
  'ERR_DENIED',
]);

/** Codes of this machine; other libraries have codes of their own (`NoSuchKey`), which say nothing of files. */
const SYSTEM_ERRNO = /^E[A-Z]/;

const NETWORK_ERRNO = /^(?:ECONN|ENET|EHOST|ENOTFOUND$|EAI_|EPIPE$|ETIMEDOUT$|EPROTO$|ERR_STREAM_)/;

const DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_DIGEST_MISMATCH',
  'ERR_SIZE_MISMATCH',
  'ERR_DIFFID_MISMATCH',
  'ERR_DECOMPRESS',
  'ERR_RANGE_INVALID',
  'ERR_MEDIA_TYPE_UNSUPPORTED',
  'ERR_LIMIT_EXCEEDED',
]);

/**
 * Whether what was fetched so far may be continued by a later run: after a failure on the way, not when bytes were
 * wrong and not when this machine is in the way. (After the caller's abort it always may.)
 */
export function isResumable(error: unknown): boolean {
  if (error instanceof RootfsError) return ON_THE_WAY.has(error.code);
  return !SYSTEM_ERRNO.test(systemErrorCode(error) ?? '');
}

/** Whether a failure may come from bytes that an earlier run left, so that starting from the first byte can help. */
export function isDamage(error: unknown): boolean {
  return error instanceof RootfsError && DAMAGE.has(error.code);
}

/** Whether a failure may come from bytes that are not what their digest promises. */
export function isWrongContent(error: unknown): boolean {
  return error instanceof RootfsError && /^ERR_(?:DIGEST_MISMATCH|SIZE_MISMATCH|DECOMPRESS)$/.test(error.code);
}

/** Whether a stream could not be inflated: the truer reason may be that its bytes are not the promised ones. */
export function isDecompressError(error: unknown): boolean {
  return error instanceof RootfsError && error.code === 'ERR_DECOMPRESS';
}

/**
 * Compares what a layer unpacks to with what the image's config promises.
 *
 * @param digest Of the compressed layer.
 * @throws RootfsError `ERR_DIFFID_MISMATCH`
 */
export function requireDiffId(digest: Digest, expected: Digest, found: string | undefined): void {
  if (expected === found) return;
  throw new RootfsError(
    'ERR_DIFFID_MISMATCH',
    `${digest}: its uncompressed bytes are ${found}, the image's config promises ${expected}; ask who publishes it`,
    { detail: { digest, expected, found } },
  );
}

/** What a source threw, as one of our errors: sources are also written by others. */
export function wrapSourceError(error: unknown, digest: Digest): RootfsError {
  if (error instanceof RootfsError) return error;
  const errno = systemErrorCode(error);
  if (errno !== undefined && SYSTEM_ERRNO.test(errno) && !NETWORK_ERRNO.test(errno))
    return wrapSystemError(error, digest);
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError('ERR_NETWORK', `${digest}: it could not be fetched (${reason}); try again`, {
    cause: error,
    detail: { digest, ...(errno === undefined ? {} : { errno }) },
  });
}
