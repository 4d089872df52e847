/** Reading with proof: what everyone outside the hot path calls instead of `fetch`. */
import { Readable } from 'node:stream';
import { RootfsError } from '../errors.js';
import { abortStream, throwIfAborted, untilAborted } from '../io/abort.js';
import { asReadable } from '../io/as-readable.js';
import { discard } from '../io/discard.js';
import { Gathered } from '../io/gathered.js';
import { checkByteLimit, limitError, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { readChunks } from '../io/read-chunks.js';
import { requireBytes, Verifier, verifyBytes, verifyStream } from '../io/verify.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requireVerifiable } from '../spec/digest.js';
import type { CallOptions, Distruster, Fetcher } from './content.js';
import { HeldBlob } from './open-blob.js';
import { requireDescriptor, requireFetcher } from './require-fetcher.js';
import { retryDistrusted } from './retry-distrusted.js';

/** Options of `readVerified`. */
export interface ReadVerifiedOptions extends CallOptions {
  /** The most bytes to take into memory; 4 MiB when absent. A descriptor that promises more is refused unread. */
  readonly maxBytes?: number | undefined;
}

/**
 * Opens the content of `target` and checks it as it is read: the stream ends only after digest and size were found
 * right, else it fails. What was read before the end is not verified yet. The caller owns the stream.
 *
 * Content that stands in the descriptor itself (`data`) is used without asking the source, after the same check.
 *
 * @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED` (before a byte is read), `ERR_OPTION_INVALID`,
 *   `ERR_NOT_FOUND`, what the source throws; from the stream `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`,
 *   `ERR_NETWORK` (it closed before its end)
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#properties
 */
export async function fetchVerified(source: Fetcher, target: Descriptor, options: CallOptions = {}): Promise<Readable> {
  requireFetcher(source);
  requireDescriptor(target, 'target');
  requireVerifiable(target.digest);
  throwIfAborted(options.signal);
  const embedded = embeddedContent(target);
  if (embedded !== undefined) return abortStream(Readable.from([embedded], { objectMode: false }), options.signal);
  const { signal, onProgress } = options;
  const stream = asReadable(await untilAborted(source.fetch(target, { signal, onProgress }), signal, discard));
  return abortStream(verifyStream(stream, target), signal);
}

/**
 * Reads the content of `target` into memory, verified. For documents, not for layers. A source that gave wrong bytes
 * is told, and asked again if that may help.
 *
 * @throws RootfsError as `fetchVerified`; `ERR_LIMIT_EXCEEDED` where `target.size` is over `maxBytes`
 */
export async function readVerified(
  source: Fetcher & Partial<Distruster>,
  target: Descriptor,
  options: ReadVerifiedOptions = {},
): Promise<Buffer> {
  const maxBytes = checkByteLimit('maxBytes', options.maxBytes ?? MAX_DOCUMENT_BYTES);
  requireFetcher(source);
  requireDescriptor(target, 'target');
  requireVerifiable(target.digest);
  if (target.size > maxBytes) throw limitError(`${target.digest} (${target.size} bytes)`, maxBytes);
  return retryDistrusted(source, target, options.onProgress, () => readOnce(source, target, options));
}

/** By chunks: two more streams in a row would take longer than most documents. */
async function readOnce(source: Fetcher, target: Descriptor, options: CallOptions): Promise<Buffer> {
  const { signal = new AbortController().signal, onProgress } = options;
  throwIfAborted(signal);
  const embedded = embeddedContent(target);
  if (embedded !== undefined) return embedded;
  const verifier = new Verifier(target);
  const gathered = new Gathered(target.size);
  const opening = Promise.resolve(source.fetch(target, { signal: options.signal, onProgress }));
  const opened = await untilAborted(opening, signal, discard);
  const bytes = opened instanceof HeldBlob ? opened.whole() : undefined;
  if (bytes !== undefined) {
    verifier.update(bytes);
    verifier.end();
    return bytes;
  }
  await readChunks(Promise.resolve(opened), signal, (chunk) => {
    requireBytes(chunk, target.digest);
    verifier.update(chunk);
    gathered.add(chunk);
    return undefined;
  });
  verifier.end();
  return gathered.bytes;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * The content that a descriptor carries in itself, checked; `undefined` where it carries none.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` where it is not the content that the descriptor names
 */
export function embeddedContent(target: Descriptor): Buffer | undefined {
  // Go leaves an empty field out, others write it.
  if (target.data === undefined || (target.data === '' && target.size > 0)) return undefined;
  const subject = `${target.digest}: the data inside the descriptor`;
  if (target.data.length % 4 !== 0 || !BASE64.test(target.data)) {
    throw new RootfsError('ERR_DIGEST_MISMATCH', `${subject} is not base64; ask who publishes it`, {
      detail: { digest: target.digest },
    });
  }
  const bytes = Buffer.from(target.data, 'base64');
  verifyBytes(bytes, target, subject);
  return bytes;
}
