/** The name of bytes that are in memory. */
import { createHash } from 'node:crypto';
import type { Digest, DigestAlgorithm } from '../spec/digest.js';

/** The digest of bytes, or of a text's UTF-8. */
export function digestOf(bytes: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
