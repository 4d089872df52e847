/** What leaves an index that somebody made long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { removeImages } from '../../src/content/remove-image.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { MAX_INDEX_ENTRIES } from '../../src/spec/image-index.js';
import { MediaType } from '../../src/spec/media-types.js';

const digestOf = (at: number): Digest => `sha256:${at.toString(16).padStart(64, '0')}`;

test('an index made of as many entries as there may be takes them along, in seconds', { timeout: 30_000 }, () => {
  const entry = (at: number, name: string): Descriptor => ({
    mediaType: MediaType.ociManifest,
    digest: digestOf(at),
    size: 100,
    platform: { os: 'linux', architecture: `a${at}` },
    annotations: { 'org.opencontainers.image.ref.name': name },
  });
  const members = Array.from({ length: MAX_INDEX_ENTRIES - 1 }, (_, at) => entry(at, 'v1'));
  // The same content under another name is none of them.
  const entries = [...members, entry(0, 'v2')];
  const made = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: members }));
  const { left, gone } = removeImages(entries, new Set([digestOf(MAX_INDEX_ENTRIES)]), [made]);
  assert.deepEqual(left, [entry(0, 'v2')]);
  assert.equal(gone.length, members.length);
});
