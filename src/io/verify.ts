/**
 * Bytes checked at the edge where they enter: a digest and a length against what was promised.
 *
 * This file knows digests and streams. It does not know where bytes come from. A digest mismatch outranks a size
 * mismatch; an algorithm that cannot be verified is refused before a byte is read.
 */
import { createHash, type Hash } from 'node:crypto';
import { pipeline, type Readable, Transform } from 'node:stream';
import { RootfsError, systemErrorCode } from '../errors.js';
import { type Digest, type DigestAlgorithm, requireVerifiable } from '../spec/digest.js';

/** What bytes must be: their digest and their number. A descriptor is one. */
export interface ExpectedContent {
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}

/**
 * Checks bytes as they pass, synchronously: `update` with each chunk, then `end`.
 *
 * Nothing that went through `update` may be trusted before `end` returned. Usable in worker threads.
 */
export class Verifier {
  readonly #expected: ExpectedContent;
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  readonly #subject: string;
  #received = 0;

  /**
   * @param subject What messages start with; the digest when absent.
   * @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`, `ERR_OPTION_INVALID` (a size that is none)
   */
  constructor(expected: ExpectedContent, subject?: string) {
    this.#algorithm = requireVerifiable(expected.digest).algorithm;
    if (!Number.isSafeInteger(expected.size) || expected.size < 0) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${expected.digest}: ${String(expected.size)} is not a size; expected a whole number of bytes, 0 or more`,
        { detail: { digest: expected.digest, size: expected.size } },
      );
    }
    this.#expected = { digest: expected.digest, size: expected.size };
    this.#hash = createHash(this.#algorithm);
    this.#subject = subject ?? expected.digest;
  }

  /** Bytes taken in so far. */
  get receivedBytes(): number {
    return this.#received;
  }

  /**
   * Takes the next bytes. The array may be reused after the call.
   *
   * @throws RootfsError as soon as more than the promised number arrived: `ERR_SIZE_MISMATCH` where the promised
   *   number of bytes was right and something follows, `ERR_DIGEST_MISMATCH` where they were wrong as well;
   *   `ERR_INTERNAL` for what is no bytes: the text of a stream with an encoding
   */
  update(chunk: Uint8Array): void {
    requireBytes(chunk, this.#subject);
    const room = this.#expected.size - this.#received;
    if (chunk.byteLength <= room) {
      this.#received += chunk.byteLength;
      this.#hash.update(chunk);
      return;
    }
    this.#hash.update(chunk.subarray(0, room));
    this.#received = this.#expected.size + 1;
    this.end();
  }

  /** Judges what came. @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` */
  end(): void {
    const found: Digest = `${this.#algorithm}:${this.#hash.digest('hex')}`;
    judgeContent(this.#expected, { digest: found, receivedBytes: this.#received }, this.#subject);
  }
}

/**
 * Judges bytes that were hashed elsewhere.
 *
 * @param found The digest of the first `expected.size` bytes, and how many came; more than promised is one more.
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`
 */
export function judgeContent(
  { digest, size }: ExpectedContent,
  found: { readonly digest: Digest; readonly receivedBytes: number },
  subject: string = digest,
): void {
  const { receivedBytes } = found;
  if (found.digest !== digest) {
    const length =
      receivedBytes === size
        ? ''
        : ` and ${receivedBytes > size ? `more than ${size}` : receivedBytes} bytes of ${size}`;
    throw new RootfsError(
      'ERR_DIGEST_MISMATCH',
      `${subject}: the bytes are not what was promised: expected ${digest}, found ${found.digest}${length}; fetch it again, or ask who publishes it`,
      { detail: { expected: digest, found: found.digest, expectedBytes: size, receivedBytes } },
    );
  }
  if (receivedBytes === size) return;
  const what = receivedBytes > size ? 'and more follow' : `${receivedBytes} came`;
  throw new RootfsError(
    'ERR_SIZE_MISMATCH',
    `${subject}: ${size} bytes were expected, ${what}; the source or the descriptor is wrong, fetch it again or ask who publishes it`,
    { detail: { digest, expectedBytes: size, receivedBytes } },
  );
}

/**
 * Checks a stream as it passes. The result ends only after digest and size were found right; else it fails with
 * `ERR_DIGEST_MISMATCH` or `ERR_SIZE_MISMATCH` instead of ending; with `ERR_NETWORK` where the source closes before its
 * end. What was read before the end is not verified yet.
 *
 * The source is owned by the result: it is destroyed with it, and its errors come out of it. No byte past
 * `expected.size` is passed on.
 *
 * @throws RootfsError at once, with the source destroyed: `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`,
 *   `ERR_OPTION_INVALID`
 */
export function verifyStream(source: Readable, expected: ExpectedContent): Readable {
  let verifier: Verifier;
  try {
    verifier = new Verifier(expected);
  } catch (error) {
    source.once('error', () => {}).destroy();
    throw error;
  }
  const verified = new Transform({
    readableHighWaterMark: 256 * 1024,
    // As objects, so that what is no bytes comes here: Node would throw it where nobody can catch it.
    writableObjectMode: true,
    writableHighWaterMark: 1,
    transform(chunk: unknown, _encoding, callback) {
      try {
        verifier.update(chunk as Uint8Array);
        callback(null, chunk);
      } catch (error) {
        callback(error as Error);
      }
    },
    flush(callback) {
      try {
        verifier.end();
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    destroy(error, callback) {
      const message = `${expected.digest}: the stream closed before its end; try again`;
      const isCut = systemErrorCode(error) === 'ERR_STREAM_PREMATURE_CLOSE';
      callback(isCut ? new RootfsError('ERR_NETWORK', message, { cause: error }) : error);
    },
  });
  // pipeline carries an error or an early end from either side to the other; whoever reads the result hears of it.
  pipeline(source, verified, () => {});
  return verified;
}

/** Checks that a source gave bytes. @throws RootfsError `ERR_INTERNAL` */
export function requireBytes(chunk: unknown, subject: string): asserts chunk is Uint8Array {
  if (chunk instanceof Uint8Array) return;
  throw new RootfsError(
    'ERR_INTERNAL',
    `${subject}: the source gave a chunk of type ${typeof chunk} where bytes were expected; look where the source is made`,
    { detail: { subject } },
  );
}

/**
 * Checks chunks as they pass: the same for any async iterable. The generator returns only after digest and size were
 * found right, and ends its source whatever happens.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`
 */
export async function* verifyChunks(
  source: AsyncIterable<Uint8Array>,
  expected: ExpectedContent,
): AsyncGenerator<Uint8Array, void, undefined> {
  const verifier = new Verifier(expected);
  for await (const chunk of source) {
    verifier.update(chunk);
    yield chunk;
  }
  verifier.end();
}

/** Checks bytes that are all here. @throws RootfsError as `Verifier` does. */
export function verifyBytes(bytes: Uint8Array, expected: ExpectedContent, subject?: string): void {
  const verifier = new Verifier(expected, subject);
  verifier.update(bytes);
  verifier.end();
}

/** Whether an error says that content is not what its digest and size say. */
export function isMismatch(error: unknown): error is RootfsError {
  return error instanceof RootfsError && /^ERR_(?:DIGEST|SIZE)_MISMATCH$/.test(error.code);
}
