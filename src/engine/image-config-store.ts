/** Where an engine keeps image configs: by digest, which is the image's ID. */
import { createHash } from 'node:crypto';
import type { CallOptions, Fetcher, Pusher } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { eachUntilAborted, untilAborted } from '../io/abort.js';
import { digestOf } from '../io/digest-of.js';
import { discard } from '../io/discard.js';
import { Gathered } from '../io/gathered.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { requireBytes } from '../io/verify.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';

/** Keeps image configs. */
export interface ImageConfigStore {
  /** Keeps a config. @returns the digest of its bytes @throws RootfsError `ERR_LIMIT_EXCEEDED` (over 4 MiB) */
  put(config: Uint8Array, options?: CallOptions): Promise<Digest>;
  /** Gives a config. @throws RootfsError `ERR_NOT_FOUND` */
  get(digest: Digest, options?: CallOptions): Promise<Uint8Array>;
}

/**
 * Makes a config store of any store that content can be pushed to and fetched from: a `BlobDir`, a layout, memory.
 * What it gives is verified.
 */
export function imageConfigStoreFromStore(store: Fetcher & Pusher): ImageConfigStore {
  return {
    async put(config, options) {
      checkConfigBytes('the config', config.byteLength);
      const digest = digestOf(config);
      const content = (async function* () {
        yield config;
      })();
      await store.push({ mediaType: MediaType.ociConfig, digest, size: config.byteLength }, content, options);
      return digest;
    },
    async get(digest, options) {
      const { algorithm } = requireVerifiable(digest);
      const hash = createHash(algorithm);
      const gathered = new Gathered();
      let size = 0;
      // Its length is not known: as many bytes as a document may have, and one more that betrays a longer one.
      const target = { mediaType: MediaType.ociConfig, digest, size: MAX_DOCUMENT_BYTES };
      const signal = options?.signal;
      const content = await untilAborted(store.fetch(target, options), signal, discard);
      for await (const bytes of eachUntilAborted<Uint8Array>(content, signal)) {
        requireBytes(bytes, digest);
        size += bytes.byteLength;
        checkConfigBytes(digest, size);
        hash.update(bytes);
        gathered.add(bytes);
      }
      checkConfigDigest(digest, `${algorithm}:${hash.digest('hex')}`);
      return gathered.bytes;
    },
  };
}

function checkConfigBytes(subject: string, bytes: number): void {
  if (bytes <= MAX_DOCUMENT_BYTES) return;
  throw new RootfsError('ERR_LIMIT_EXCEEDED', `${subject}: a config has at most ${MAX_DOCUMENT_BYTES} bytes`);
}

/** The digest of a config by the algorithm of the one it is to be compared with; a store chooses its own. */
export function digestAs(other: Digest, config: Uint8Array): Digest {
  return digestOf(config, String(other).startsWith('sha512:') ? 'sha512' : 'sha256');
}

/** Compares the digest of a config that a store gave or took. @throws RootfsError `ERR_DIGEST_MISMATCH` */
export function checkConfigDigest(expected: Digest, found: string): void {
  if (found === expected) return;
  throw new RootfsError(
    'ERR_DIGEST_MISMATCH',
    `${expected}: the image store has ${found} instead; pull the image again`,
    {
      detail: { expected, found },
    },
  );
}
