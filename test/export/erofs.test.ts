import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deviceTag, type ErofsOptions, writeErofs } from '../../src/export/erofs.js';
import { crc32c } from '../../src/export/erofs-crc32c.js';
import { directoryNames, packDirectory } from '../../src/export/erofs-directory.js';
import { readSuperblock } from '../../src/export/erofs-format.js';
import { planErofs } from '../../src/export/erofs-plan.js';
import { encodeXattr, XattrTable } from '../../src/export/erofs-xattrs.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { digestOf } from '../../src/testing/built.js';
import { randomImage } from '../../src/testing/testing.js';
import { type HandEntry, handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { turnsDuring } from '../support/turns-during.js';

test('the checksum is CRC-32C as EROFS has it: not inverted in the end', () => {
  assert.equal((crc32c(Buffer.from('123456789')) ^ 0xffffffff) >>> 0, 0xe3069283);
});

test('the same image gives the same bytes, in both forms, and another gives another UUID', async (t) => {
  const folder = tempDir(t);
  const uuids = new Set<string>();
  for (const seed of [3, 4]) {
    const built = randomImage(seed);
    const layers = built.layers.map(({ tar, diffId }, at) => {
      const path = join(folder, `${seed}-${at}.tar`);
      writeFileSync(path, tar);
      return { path, tarBytes: tar.length, diffId };
    });
    for (const data of ['layers', 'image'] as const) {
      const runs = [];
      for (const name of ['a', 'b']) {
        const out = join(folder, name);
        const { uuid } = await writeErofs(await mergeLayers(layers), layers, out, { data, verity: true });
        uuids.add(uuid);
        runs.push(readFileSync(out));
      }
      assert.ok(runs[0]?.equals(runs[1] ?? Buffer.alloc(0)), `seed ${seed}, ${data}`);
      const facts = readSuperblock(runs[0] ?? Buffer.alloc(0)) ?? assert.fail('no superblock');
      assert.equal(facts.blockSize, data === 'layers' ? 512 : 4096);
      const used = layers.map(({ diffId }) => deviceTag(diffId));
      for (const tag of facts.tags) assert.ok(used.includes(tag));
    }
  }
  assert.equal(uuids.size, 4);
});

test('a superblock that is cut, changed or of another format is none', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'file', content: 'x' }]);
  await writeErofs(tree, layers, join(folder, 'image'));
  const good = readFileSync(join(folder, 'image'));
  assert.ok(readSuperblock(good) !== undefined);
  for (const at of [1024, 1028, 1036, 1060, 1100]) {
    const bad = Buffer.from(good);
    bad.writeUInt8(bad.readUInt8(at) ^ 4, at);
    assert.equal(readSuperblock(bad), undefined, `byte ${at}`);
  }
  assert.equal(readSuperblock(good.subarray(0, 1100)), undefined);
  assert.equal(readSuperblock(Buffer.alloc(4096)), undefined);
});

test('names are sorted with the dots among them, and blocks stand for themselves', () => {
  assert.deepEqual(directoryNames(['b', '!', 'a', '\u00ff', '-']), ['!', '-', '.', '..', 'a', 'b', '\u00ff']);
  const names = directoryNames(Array.from({ length: 100 }, (_, at) => `${at}`.repeat(20)));
  const packed = packDirectory(names, 512);
  for (const [block, first] of packed.blocks.entries()) {
    const inBlock = names.slice(first, packed.blocks[block + 1]);
    const bytes = inBlock.reduce((sum, name) => sum + 12 + name.length, 0);
    assert.ok(bytes <= 512 && inBlock.length > 0);
    if (block === packed.blocks.length - 1) assert.equal(packed.size, block * 512 + bytes);
  }
});

test('attributes: what several inodes have is stored once; what has no number is refused', () => {
  const common = encodeXattr('user.common', Buffer.from('v')) ?? assert.fail('user.');
  const own = encodeXattr('security.capability', Buffer.alloc(20, 1)) ?? assert.fail('security.');
  const table = new XattrTable();
  table.add([common, own]);
  table.add([common]);
  assert.equal(table.body([common, own])?.body.length, 12 + 4 + own.length);
  assert.deepEqual(table.body([common]), {
    body: Buffer.from('0000000001000000000000000'.padEnd(32, '0'), 'hex'),
    count: 2,
  });
  assert.equal(table.area().length, common.length);
  assert.deepEqual(
    encodeXattr('system.posix_acl_access', Buffer.from('acl!')),
    Buffer.from('\x00\x02\x04\x00acl!', 'latin1'),
  );
  for (const name of ['user.', 'com.apple.quarantine', 'system.other', 'lustre.lov', 'user']) {
    assert.equal(encodeXattr(name, Buffer.from('v')), undefined, name);
  }
  assert.equal(encodeXattr('user.large', Buffer.alloc(65_536)), undefined);
  const many = Array.from({ length: 600 }, (_, at) => encodeXattr(`user.${at}`, Buffer.alloc(60_000)) as Buffer);
  assert.equal(table.body(many), undefined);
});

async function refused(folder: string, entries: readonly HandEntry[], options: ErofsOptions = {}): Promise<unknown> {
  const { tree, layers } = handTree(folder, entries);
  mkdirSync(join(folder, 'out'), { recursive: true });
  try {
    await writeErofs(tree, layers, join(folder, 'out/image'), options);
  } catch (error) {
    assert.deepEqual(readdirSync(join(folder, 'out')), []);
    return error;
  }
  assert.fail('was written');
}

test('what EROFS cannot hold is said, and nothing is left', async (t) => {
  const folder = tempDir(t);
  const cases: readonly (readonly [HandEntry, string, RegExp])[] = [
    [{ path: 'n'.repeat(256) }, 'ERR_UNSUPPORTED', /a name of 256 bytes/],
    [{ path: 'link', target: 'x'.repeat(4096) }, 'ERR_UNSUPPORTED', /^link: a link to 4096 bytes/],
    [{ path: 'link', target: '' }, 'ERR_UNSUPPORTED', /a link to 0 bytes/],
    [{ path: 'dev', type: 'char', rdev: [4096, 0] }, 'ERR_UNSUPPORTED', /device 4096:0/],
    [{ path: 'dev', type: 'block', rdev: [1, 2 ** 20] }, 'ERR_UNSUPPORTED', /device 1:1048576/],
    [{ path: 'file', uid: 2 ** 32 - 1 }, 'ERR_UNSUPPORTED', /owner 4294967295:0/],
    [
      { path: 'file', xattrs: { 'user.large': Buffer.alloc(65_536) } },
      'ERR_WOULD_LOSE',
      /^file: EROFS cannot hold.*"user.large"/,
    ],
    [
      {
        path: 'dust',
        sparse: {
          size: 2 ** 45,
          runs: Array.from({ length: 40 }, (_, at) => ({ at: at * 2 ** 39 + 512 * at, data: 'x' })),
        },
      },
      'ERR_LIMIT_EXCEEDED',
      /maxSparseBytes/,
    ],
  ];
  for (const [entry, code, message] of cases) {
    const error = await refused(folder, [entry], { maxSparseBytes: 1024 * 1024 });
    assert.deepEqual(
      [(error as { code: string }).code, message.test((error as Error).message)],
      [code, true],
      `${error}`,
    );
  }
});

test('with loss allowed, attributes without a place are counted; labels and marks are skipped and told', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [
    { path: 'a', xattrs: { 'user.large': Buffer.alloc(65_536), 'user.kept': 'v' } },
    { path: 'b', xattrs: { 'security.selinux': 'l', 'trusted.overlay.opaque': 'y' } },
  ]);
  const { losses, skippedXattrs } = await writeErofs(tree, layers, join(folder, 'image'), { allowLoss: true });
  assert.deepEqual(losses, [{ what: 'xattrs', entries: 1, example: 'a' }]);
  assert.deepEqual(skippedXattrs, { 'security.selinux': 1, 'trusted.overlay.*': 1 });
});

test('bad options, bad places, layers that are gone, an abort', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'file', content: 'x' }]);
  const out = join(folder, 'image');
  const write = (options: object, to = out, from = layers): Promise<unknown> => writeErofs(tree, from, to, options);
  await assert.rejects(write({ data: 'elsewhere' }), { code: 'ERR_OPTION_INVALID', message: /elsewhere/ });
  await assert.rejects(write({ maxSparseBytes: -1 }), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(write({}, join(folder, 'no/image')), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(write({}, folder), { code: 'ERR_OPTION_INVALID' });
  symlinkSync('image', join(folder, 'link'));
  await assert.rejects(write({}, join(folder, 'link')), { code: 'ERR_OPTION_INVALID' });
  await assert.rejects(write({}, out, [{ path: join(folder, 'no'), tarBytes: layers[0]?.tarBytes ?? 0 }]), {
    code: 'ERR_NOT_FOUND',
  });
  const reason = new Error('enough');
  await assert.rejects(write({ signal: AbortSignal.abort(reason) }), reason);
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'link']);
});

test('an abort while it is written ends it, with the reason, and leaves nothing', async (t) => {
  const folder = tempDir(t);
  const entries = Array.from({ length: 20_000 }, (_, at): HandEntry => ({ path: `d/${at}` }));
  const { tree, layers } = handTree(folder, entries);
  const controller = new AbortController();
  const reason = new Error('enough');
  const written = writeErofs(tree, layers, join(folder, 'image'), {
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await assert.rejects(written, reason);
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('an empty tree and a tree of no layers are images too', async (t) => {
  const folder = tempDir(t);
  const tree: MergedTree = await mergeLayers([]);
  for (const data of ['layers', 'image'] as const) {
    const { devices, imageBytes } = await writeErofs(tree, [], join(folder, data), { data });
    assert.deepEqual(devices, []);
    assert.equal(readSuperblock(readFileSync(join(folder, data)))?.imageBytes, imageBytes);
  }
  assert.equal(deviceTag(digestOf(Buffer.from('x'), 'sha512')).length, 64);
});

test('others have their turn while one directory of many names is planned', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(
    folder,
    Array.from({ length: 3000 }, (_, at) => ({ path: `d/${at}`, xattrs: { 'user.a': String(at) } })),
  );
  const turns = await turnsDuring(t, () =>
    planErofs({ tree, layers, layersAsDevices: false, allowLoss: false, maxSparseBytes: 0, signal: undefined }),
  );
  // Each inode is entered and placed.
  assert.ok(turns >= 300, `${turns} turns`);
});

test('progress never goes back: entries are counted before their data is copied', async (t) => {
  const folder = tempDir(t);
  const files = Array.from({ length: 4500 }, (_, at) => ({ path: `d/${at}`, content: 'x'.repeat(3000) }));
  const { tree, layers } = handTree(folder, files);
  const seen: (readonly [number, number])[] = [];
  await writeErofs(tree, layers, join(folder, 'image'), {
    onProgress: (event) => event.type === 'entries:written' && seen.push([event.entries, event.dataBytes]),
  });
  assert.ok(seen.length > 3, `${seen.length} events`);
  for (const [at, [entries, dataBytes]] of seen.entries()) {
    const [before = 0, bytesBefore = 0] = seen[at - 1] ?? [];
    assert.ok(entries >= before && dataBytes >= bytesBefore, `${seen}`);
  }
  assert.deepEqual(seen.at(-1), [4501, 4500 * 3000]);
});
