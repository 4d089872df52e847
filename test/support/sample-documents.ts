/** Documents that tests damage: a small valid one of each kind, and how a refusal is told from a crash. */
import assert from 'node:assert/strict';
import { type ErrorCode, RootfsError } from '../../src/errors.js';
import { MediaType } from '../../src/spec/media-types.js';

/** A digest. */
export const D1 = `sha256:${'c8'.repeat(32)}`;
/** Another digest. */
export const D2 = `sha256:${'9d'.repeat(32)}`;
/** The descriptor of a config. */
export const CONFIG = { mediaType: MediaType.ociConfig, size: 1470, digest: D1 };
/** The descriptor of a layer. */
export const LAYER = { mediaType: MediaType.ociLayerGzip, size: 148, digest: D2 };
/** A manifest. */
export const MANIFEST = { schemaVersion: 2, mediaType: MediaType.ociManifest, config: CONFIG, layers: [LAYER] };
/** An index's entry. */
export const ENTRY = {
  mediaType: MediaType.ociManifest,
  size: 7143,
  digest: D1,
  platform: { architecture: 'ppc64le', os: 'linux' },
};
/** An index. */
export const INDEX = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [ENTRY] };

/** A document as bytes. */
export const bytes = (value: unknown): Uint8Array =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

/** Runs what must throw a RootfsError of this code and message. */
export function refused(act: () => unknown, code: ErrorCode, message: RegExp = /./): RootfsError {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof RootfsError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return error;
  }
  return assert.fail(`accepted; expected ${code} ${message}`);
}
