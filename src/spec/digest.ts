/**
 * Digests: the names of content. Pure; verified algorithms are sha256 and sha512.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
 */
import { RootfsError } from '../errors.js';

/** A digest, `algorithm:encoded`, as the specification writes it. Only `parseDigest` proves that a string is one. */
export type Digest = `${string}:${string}`;

/** The algorithms whose bytes this library can check. */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** A digest in its two parts. `algorithm` may be one that cannot be verified: all but those of `DigestAlgorithm`. */
export interface ParsedDigest {
  readonly algorithm: string;
  readonly encoded: string;
}

const GRAMMAR = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;
const HEX_LENGTH: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha512', 128],
]);
const HEX = /^[a-f0-9]+$/;

/** Whether `text` is a digest by the grammar; for sha256 and sha512 also lower-case hex of the right length. */
export function isDigest(text: string): text is Digest {
  if (typeof text !== 'string' || text.length > 1024 || !GRAMMAR.test(text)) return false;
  const colon = text.indexOf(':');
  const length = HEX_LENGTH.get(text.slice(0, colon));
  const encoded = text.slice(colon + 1);
  return length === undefined || (encoded.length === length && HEX.test(encoded));
}

/** Whether `text` is a digest whose bytes can be checked here. `alpine:3` is one by the grammar, and none of these. */
export function isVerifiable(text: string): text is Digest {
  return /^sha(?:256|512):/.test(text) && isDigest(text);
}

/**
 * Checks a digest and returns its parts. An unknown algorithm parses; nothing it names can be trusted.
 *
 * @throws RootfsError `ERR_DIGEST_INVALID`
 */
export function parseDigest(text: string): ParsedDigest {
  if (!isDigest(text)) {
    // What is no text at all is told by its type.
    const found = typeof text === 'string' ? (text as string).slice(0, 200) : `a value of type ${typeof text}`;
    throw new RootfsError(
      'ERR_DIGEST_INVALID',
      `${JSON.stringify(found)} is not a digest; expected algorithm:encoded, as in sha256:<64 lower-case hex digits>`,
      { detail: { found } },
    );
  }
  const colon = text.indexOf(':');
  return { algorithm: text.slice(0, colon), encoded: text.slice(colon + 1) };
}

/**
 * Checks a digest and that its algorithm can be verified here. The parts are safe as path components.
 *
 * @throws RootfsError `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`
 */
export function requireVerifiable(text: string): { readonly algorithm: DigestAlgorithm; readonly encoded: string } {
  const { algorithm, encoded } = parseDigest(text);
  if (algorithm !== 'sha256' && algorithm !== 'sha512') {
    throw new RootfsError(
      'ERR_DIGEST_UNSUPPORTED',
      `${text}: the digest algorithm ${algorithm} cannot be verified; sha256 and sha512 can`,
      { detail: { algorithm } },
    );
  }
  return { algorithm, encoded };
}
