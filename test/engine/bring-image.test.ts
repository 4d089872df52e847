/** What an image cache reads of an image before it brings its blobs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bringImage } from '../../src/engine/bring-image.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { MediaType } from '../../src/spec/media-types.js';

function numbered(at: number, mediaType: string = MediaType.ociManifest): Descriptor {
  return { mediaType, digest: `sha256:${at.toString(16).padStart(64, '0')}`, size: 1 };
}

test('the bytes of all manifests are bounded as those of a copy are', async () => {
  const [root, config] = [numbered(1000, MediaType.ociIndex), numbered(1001, MediaType.ociConfig)];
  const manifests = Array.from({ length: 64 }, (_, at) => numbered(at));
  const text = (value: object): Buffer => Buffer.from(JSON.stringify({ schemaVersion: 2, ...value }));
  const index = text({ manifests });
  const bring = (left: number): Promise<unknown> => {
    const read = async ({ digest }: Descriptor): Promise<Buffer> => {
      if (digest === root.digest) return index;
      const wanted = 4 * 1024 * 1024 - (digest === manifests[0]?.digest ? left : 0);
      const bare = text({ config, layers: [], annotations: { a: '' } }).length;
      return text({ config, layers: [], annotations: { a: 'x'.repeat(wanted - bare) } });
    };
    return bringImage(root, read, {});
  };
  await bring(index.length);
  await assert.rejects(bring(index.length - 1), {
    code: 'ERR_LIMIT_EXCEEDED',
    message: /its manifests have over 268435456 bytes together/,
  });
});
