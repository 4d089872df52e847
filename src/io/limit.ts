/** Guards on the number of bytes: what is read into memory, and what passes at all, has a limit that somebody chose. */
import { RootfsError } from '../errors.js';
import { Gathered } from './gathered.js';
import { requireBytes } from './verify.js';

/** The default limit of a document that is read into memory (manifest, index, config, archive manifest): 4 MiB. */
export const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

/** Checks an option that counts bytes. @throws RootfsError `ERR_OPTION_INVALID` with the bad value. */
export function checkByteLimit(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${name}: ${String(value)} is not a number of bytes; give a whole number, 0 or more`,
      { detail: { option: name, value: String(value) } },
    );
  }
  return value;
}

/** The error of a limit that was passed. */
export function limitError(subject: string, maxBytes: number): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${subject}: larger than the limit of ${maxBytes} bytes; ask who made it for a smaller one`,
    { detail: { subject, maxBytes } },
  );
}

/**
 * Passes chunks on until `maxBytes` were seen, then fails; no byte past the limit is given.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED`, `ERR_INTERNAL` for what is no bytes
 */
export async function* limitChunks(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  subject: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  checkByteLimit('maxBytes', maxBytes);
  let seen = 0;
  for await (const chunk of source) {
    requireBytes(chunk, subject);
    seen += chunk.byteLength;
    if (seen > maxBytes) throw limitError(subject, maxBytes);
    yield chunk;
  }
}

/**
 * Reads everything into memory, at most `maxBytes` of it. The source is ended whatever happens.
 *
 * @throws RootfsError as `limitChunks`
 */
export async function readLimited(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  subject: string,
): Promise<Buffer> {
  const gathered = new Gathered();
  for await (const chunk of limitChunks(source, maxBytes, subject)) gathered.add(chunk);
  return gathered.bytes;
}
