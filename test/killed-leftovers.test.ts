/** Working folders of what a killed process was doing are gone after the next run that makes one of its kind. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { spoolLayer } from '../src/engine/compress-layer.js';
import type { PushLayer } from '../src/engine/push-layer.js';
import { writeExt4 } from '../src/export/mkfs-ext4.js';
import { downloadImage } from '../src/image/image-folder.js';
import { processMark } from '../src/io/process-mark.js';
import { MediaType } from '../src/spec/media-types.js';
import { digestOf, image } from '../src/testing/testing.js';
import { handTree } from './support/hand-tree.js';
import { memoryWith } from './support/memory-with.js';
import { tempDir } from './support/temp-dir.js';
import { needs } from './support/tools.js';

/** A folder in which a process that is dead left a working folder, and one that lives has its own. */
function withLeftover(folder: string): { folder: string; living: string } {
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  mkdirSync(join(folder, `.rootfs-kit-${dead}-abc123`, 'half'), { recursive: true });
  writeFileSync(join(folder, `.rootfs-kit-${dead}-abc123`, 'half', 'blob'), 'x');
  const living = `.rootfs-kit-${processMark()}-living`;
  mkdirSync(join(folder, living));
  return { folder, living };
}

function asTemporary(t: TestContext, folder: string): void {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
}

test('an image that is fetched into a folder', async (t) => {
  const { folder, living } = withLeftover(tempDir(t));
  const store = await memoryWith(
    image()
      .layer((layer) => layer.file('a', 'a'))
      .build(),
  );
  const meanwhile: string[] = [];
  const watched = {
    resolve: store.resolve.bind(store),
    exists: store.exists.bind(store),
    fetch: (...args: Parameters<typeof store.fetch>) => {
      meanwhile.push(...readdirSync(folder).filter((name) => name !== living));
      return store.fetch(...args);
    },
  };
  const made = await downloadImage(watched, 'v1', { parent: folder });
  assert.deepEqual(readdirSync(folder).sort(), [living, basename(made)]);
  assert.match(basename(made), /^rootfs-kit-image-[0-9a-f]{12}$/);
  assert.equal(statSync(made).mode & 0o777, 0o700);
  assert.ok(meanwhile.some((name) => name.startsWith(`.rootfs-kit-${processMark()}-`)));
});

test('a layer that is compressed for a push', async (t) => {
  const { folder, living } = withLeftover(tempDir(t));
  asTemporary(t, folder);
  const bytes = Buffer.alloc(1024);
  const layer: PushLayer = {
    chainId: digestOf(bytes),
    diffId: digestOf(bytes),
    parent: undefined,
    mediaType: MediaType.ociLayer,
    size: bytes.length,
    open: async () => Readable.from([bytes]),
    release: async () => {},
  };
  const spooled = await spoolLayer(layer, true, {});
  const there = readdirSync(folder).filter((name) => name !== living);
  assert.equal(there.length, 1);
  assert.ok(there[0]?.startsWith(`.rootfs-kit-${processMark()}-`));
  await spooled.remove();
  assert.deepEqual(readdirSync(folder), [living]);
});

test('an ext4 image', { skip: needs('mke2fs', 'debugfs') }, async (t) => {
  const { folder, living } = withLeftover(tempDir(t));
  asTemporary(t, folder);
  const hand = join(folder, 'hand');
  mkdirSync(hand);
  const { tree, layers } = handTree(hand, [{ path: 'a', content: 'a' }]);
  await writeExt4(tree, layers, join(folder, 'disk'));
  assert.deepEqual(readdirSync(folder).sort(), [living, 'disk', 'hand'].sort());
});
