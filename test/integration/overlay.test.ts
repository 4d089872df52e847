/** The overlay form, mounted: what it shows is what unpack writes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeOverlay } from '../../src/export/overlay.js';
import type { OverlayOptions } from '../../src/export/overlay-options.js';
import { unpack } from '../../src/export/unpack.js';
import { createWritableCopy } from '../../src/export/writable-copy.js';
import { loadNative, nativeMissing } from '../../src/io/native.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { mergeBuilt, writeLayers, writeTars } from '../support/layers.js';
import { type DiskEntry, listTree } from '../support/list-tree.js';
import { randomLayers } from '../support/random-layers.js';
import { tempDir } from '../support/temp-dir.js';

const native = loadNative();
const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const mayMount = native === undefined ? nativeMissing() : process.geteuid?.() === 0 ? false : 'needs root to mount';

function corners(): LayerBuilder[] {
  const base = new LayerBuilder()
    .dir('./', { mode: 0o755, mtime: 11 })
    .dir('etc', { mode: 0o750, gid: 0, mtime: 100 })
    .file('etc/passwd', 'old', { mtime: 1 })
    .file('etc/gone', 'gone')
    .dir('opaque', { mtime: 7 })
    .file('opaque/low', 'low')
    .dir('opaque/deep')
    .file('opaque/deep/low', 'low')
    .dir('kept', { mtime: 8 })
    .file('kept/a', 'a')
    .hardlink('kept/b', 'kept/a')
    .file('filedir', 'was a file')
    .dir('dirfile')
    .file('dirfile/x', 'x')
    .dir('back')
    .file('back/low', 'low')
    .dir('usr/lib')
    .symlink('lib', 'usr/lib')
    .fifo('pipe')
    .file('.hidden', 'dots');
  const middle = new LayerBuilder()
    .file('etc/passwd', 'new', { mtime: 2, mode: 0o600 })
    .whiteout('etc/gone')
    .whiteout('no/such/thing')
    .opaque('opaque')
    .file('opaque/high', 'high')
    .file('kept/implicit/deep', 'deep', { mtime: 9 })
    .dir('filedir')
    .file('filedir/y', 'y')
    .file('dirfile', 'is a file')
    .whiteout('back')
    .whiteout('.hidden')
    .whiteout('kept/b');
  const top = new LayerBuilder()
    .dir('back', { mtime: 12 })
    .file('back/high', 'high')
    .dir('opaque/deep', { mtime: 13 })
    .file('opaque/deep/high', 'high')
    .file('usr/lib/direct', 'd')
    .whiteout('etc/passwd')
    .file('etc/passwd', 'newest', { mtime: 3 })
    .dir('again', { mode: 0o711, mtime: 14 })
    .whiteout('again')
    .symlink('own', 'usr')
    .file('own/lib/through', 'inside its own layer');
  return [base, middle, top];
}

async function mounted(
  t: TestContext,
  builders: readonly LayerBuilder[],
  options: OverlayOptions,
): Promise<{ seen: Record<string, DiskEntry>; expected: Record<string, DiskEntry> }> {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, ...builders);
  await unpack(tree, layers, join(folder, 'root'));
  const overlay = await writeOverlay(layers, join(folder, 'overlay'), options);
  const point = join(folder, 'point');
  mkdirSync(point);
  const command = overlay.command.replace('MOUNTPOINT', point);
  const run = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  assert.equal(run.status, 0, `${command}\n${run.stderr}`);
  try {
    return { seen: listTree(point), expected: listTree(join(folder, 'root')) };
  } finally {
    native?.unmount(point);
  }
}

test('all of this as root of a user namespace', { skip: outermost ? mayMount : 'needs root to become another' }, () => {
  const run = runTestsAs('namespace', [new URL(import.meta.url)]);
  assert.equal(run.status, 0, run.output);
  assert.ok(run.pass >= 5, run.output);
});

test('without any power the overlay is written, and the command said', {
  skip: outermost ? mayMount : 'runs as others',
}, () => {
  const run = runTestsAs('user', [new URL(import.meta.url)]);
  assert.equal(run.status, 0, run.output);
  assert.ok(run.pass >= 1, run.output);
});

test('a mount shows what unpack writes', { skip: mayMount }, async (t) => {
  const { seen, expected } = await mounted(t, corners(), {});
  assert.deepEqual(seen, expected);
});

test('with attributes of the user and whiteouts without devices it does so too', { skip: mayMount }, async (t) => {
  const { seen, expected } = await mounted(t, corners(), { userXattr: true, whiteouts: 'xattr' });
  assert.deepEqual(clean(seen), clean(expected));
});

/** Without overlayfs's own attributes, which a mount shows where they are not the ones it obeys. */
function clean(tree: Record<string, DiskEntry>): Record<string, DiskEntry> {
  return Object.fromEntries(
    Object.entries(tree).map(([path, { xattrs, ...rest }]) => {
      const kept = Object.entries(xattrs ?? {}).filter(([name]) => !name.startsWith('user.overlay.'));
      return [path, kept.length === 0 ? rest : { ...rest, xattrs: Object.fromEntries(kept) }];
    }),
  );
}

test('what a device stands over does not show where the device cannot be made', { skip: mayMount }, async (t) => {
  const base = new LayerBuilder()
    .file('file', 'low')
    .file('directory/low', 'low')
    .dir('in', { mtime: 5 })
    .file('in/deep', 'low')
    .file('linked', 'low')
    .device('other', 'char', 1, 5);
  const top = new LayerBuilder()
    .device('file', 'char', 1, 3)
    .device('directory', 'block', 8, 0)
    .device('in/deep', 'char', 1, 3)
    .hardlink('linked', 'file')
    .device('other', 'char', 1, 7)
    .device('over-nothing', 'char', 1, 3);
  const back = new LayerBuilder().file('directory/new', 'new');
  for (const whiteouts of ['device', 'xattr'] as const) {
    const { seen, expected } = await mounted(t, [base, top, back], { whiteouts });
    assert.deepEqual(clean(seen), clean(expected), whiteouts);
  }
});

test('the documented differences: links to directories below, hard links between layers', {
  skip: mayMount,
}, async (t) => {
  const base = new LayerBuilder()
    .file('usr/lib/a', 'a')
    .symlink('lib', 'usr/lib')
    .file('first', 'linked', { mode: 0o640 });
  const top = new LayerBuilder().file('lib/b', 'b').hardlink('second', 'first').hardlink('third', 'first');
  const { seen, expected } = await mounted(t, [base, top], {});
  assert.equal(expected['lib']?.type, 'symlink');
  assert.equal(expected['usr/lib/b']?.type, 'file');
  assert.equal(seen['lib']?.type, 'directory');
  assert.equal(seen['lib/b']?.type, 'file');
  assert.equal(seen['usr/lib/b'], undefined);
  assert.equal(expected['second']?.linkOf, 'first');
  assert.deepEqual([seen['second']?.mode, seen['second']?.sha256], [0o640, expected['first']?.sha256]);
  assert.equal(seen['third']?.linkOf, 'second');
});

test('an opaque root hides all that is below', { skip: mayMount }, async (t) => {
  const base = new LayerBuilder().file('a/b', 'x').file('c', 'c').file('d', 'd');
  const middle = new LayerBuilder().whiteout('d').file('e', 'e');
  const top = new LayerBuilder().opaque('').file('a/new', 'n').file('e/f', 'f');
  const { seen, expected } = await mounted(t, [base, middle, top], {});
  assert.deepEqual(Object.keys(expected), ['.', 'a', 'a/new', 'e', 'e/f']);
  assert.deepEqual(seen, expected);
});

test('random images without links to directories look the same mounted and unpacked', {
  skip: outermost ? mayMount : 'needs root',
}, async (t) => {
  const folder = tempDir(t);
  let compared = 0;
  for (let seed = 100_000; compared < 40; seed++) {
    const random = randomLayers(seed);
    const linked = random.slice(0, -1).some(({ entries }) => entries.some(({ kind }) => kind === 'symlink'));
    if (random.length < 2 || linked) continue;
    const at = join(folder, String(seed));
    const layers = writeTars(
      at,
      random.map(({ tar }) => tar),
    );
    const tree = await mergeLayers(layers).catch(() => undefined);
    if (tree === undefined) continue;
    await unpack(tree, layers, join(at, 'root'));
    const copy = createWritableCopy((await writeOverlay(layers, join(at, 'overlay'))).path, join(at, 'run'));
    try {
      assert.equal(copy.mounted, true, copy.notMounted);
      assert.deepEqual(unlinked(copy.merged), unlinked(join(at, 'root')), `seed ${seed}`);
    } finally {
      copy.unmount();
    }
    compared += 1;
  }
});

/** What stands there, without saying which names are one file: links between layers are copies. */
function unlinked(path: string): Record<string, Omit<DiskEntry, 'linkOf'>> {
  return Object.fromEntries(Object.entries(listTree(path)).map(([name, { linkOf: _, ...rest }]) => [name, rest]));
}

test('128 layers fit into one mount', { skip: mayMount }, async (t) => {
  const builders = Array.from({ length: 128 }, (_, index) =>
    new LayerBuilder()
      .file(`f${index}`, `${index}`)
      .file('last', `${index}`)
      .whiteout(`f${index - 1}`),
  );
  const { seen, expected } = await mounted(t, builders, {});
  assert.deepEqual(seen, expected);
  assert.deepEqual(Object.keys(seen), ['.', 'f127', 'last']);
});

test('one layer, and none, can be mounted', { skip: mayMount }, async (t) => {
  for (const builders of [[], [new LayerBuilder().dir('./', { mode: 0o700 }).file('a', 'a')]]) {
    const { seen, expected } = await mounted(t, builders, {});
    assert.deepEqual(Object.keys(seen), Object.keys(expected));
  }
});

test('a writable copy shares what is below and keeps what is written', { skip: mayMount }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, ...corners());
  await unpack(tree, layers, join(folder, 'root'));
  await writeOverlay(layers, join(folder, 'overlay'));
  const before = listTree(join(folder, 'overlay'));
  for (const base of ['overlay', 'root']) {
    const copy = createWritableCopy(join(folder, base), join(folder, `run, of:${base}`));
    try {
      assert.equal(copy.mounted, true, copy.notMounted);
      assert.deepEqual(listTree(copy.merged), listTree(join(folder, 'root')));
      writeFileSync(join(copy.merged, 'etc', 'passwd'), 'mine');
      rmSync(join(copy.merged, 'back'), { recursive: true });
      assert.equal(readFileSync(join(copy.upper, 'etc', 'passwd'), 'utf8'), 'mine');
      const user = openSync(copy.merged, 'r');
      assert.throws(() => copy.unmount(), { code: 'ERR_BUSY', message: /somebody still uses it/ });
      closeSync(user);
    } finally {
      copy.unmount();
      copy.unmount();
    }
    assert.deepEqual(readdirSync(copy.merged), []);
    const again = spawnSync('sh', ['-c', copy.command], { encoding: 'utf8' });
    assert.equal(again.status, 0, `${copy.command}\n${again.stderr}`);
    try {
      assert.equal(readFileSync(join(copy.merged, 'etc', 'passwd'), 'utf8'), 'mine');
      assert.equal(existsSync(join(copy.merged, 'back')), false);
    } finally {
      native?.unmount(copy.merged);
    }
  }
  assert.deepEqual(listTree(join(folder, 'overlay')), before);
});

test('root of the user namespace of the id maps reaches a copy, others do not', {
  skip: outermost ? mayMount : 'needs root',
}, async (t) => {
  const folder = tempDir(t);
  chmodSync(folder, 0o711);
  const layers = writeLayers(folder, new LayerBuilder().dir('./', { mode: 0o755 }).file('a', 'inside'));
  const maps = [{ containerId: 0, hostId: 100_000, size: 65_536 }];
  const overlay = await writeOverlay(layers, join(folder, 'overlay'), { uidMap: maps, gidMap: maps });
  const copy = createWritableCopy(overlay.path, join(folder, 'run'));
  const read = (id: number): string =>
    spawnSync('cat', [join(copy.merged, 'a')], { uid: id, gid: id, encoding: 'utf8' }).stdout;
  try {
    assert.deepEqual([read(100_000), read(100_001), read(65_534)], ['inside', '', '']);
  } finally {
    copy.unmount();
  }
});

test('a copy that may not be mounted is made all the same', {
  skip: runningAs() === 'user' ? false : 'needs a user without powers',
}, async (t) => {
  const folder = tempDir(t);
  const { layers } = await mergeBuilt(folder, ...corners());
  const overlay = await writeOverlay(layers, join(folder, 'overlay'));
  assert.equal(overlay.userXattr, true);
  const gone = lstatSync(join(overlay.path, 'layers', '1', 'etc', 'gone'));
  assert.ok(gone.isCharacterDevice() && gone.rdev === 0);
  const copy = createWritableCopy(overlay.path, join(folder, 'run'));
  assert.equal(copy.mounted, false);
  assert.match(copy.notMounted ?? '', /only root may mount/);
  assert.match(copy.command, /^cd .* && mount -t overlay overlay -o lowerdir=l\/2:l\/1:l\/0,upperdir=.*,userxattr /);
  assert.deepEqual(readdirSync(copy.path).sort(), ['merged', 'upper', 'work']);
});

test('a base that is not there, not a directory, or not whole is refused', async (t) => {
  const folder = tempDir(t);
  writeFileSync(join(folder, 'file'), '');
  mkdirSync(join(folder, 'odd'));
  writeFileSync(join(folder, 'odd', 'overlay.json'), '{"version":1,"links":["../../etc"]}');
  for (const [base, run] of [
    ['', join(folder, 'run')],
    [folder, ''],
  ] as const) {
    assert.throws(() => createWritableCopy(base, run), { code: 'ERR_OPTION_INVALID', message: /is no path/ });
  }
  assert.throws(() => createWritableCopy(join(folder, 'no'), join(folder, 'run')), { code: 'ERR_NOT_FOUND' });
  assert.throws(() => createWritableCopy(join(folder, 'file'), join(folder, 'run')), { code: 'ERR_OPTION_INVALID' });
  assert.throws(() => createWritableCopy(join(folder, 'odd'), join(folder, 'run')), { code: 'ERR_LAYOUT_INVALID' });
  assert.deepEqual(readdirSync(folder).sort(), ['file', 'odd']);
});

test('a copy lies in no file, and not in what all copies share', async (t) => {
  const folder = tempDir(t);
  const base = join(folder, 'base');
  mkdirSync(join(base, 'srv'), { recursive: true });
  writeFileSync(join(folder, 'file'), '');
  const { path } = await writeOverlay(writeLayers(folder, new LayerBuilder().dir('srv')), join(folder, 'overlay'));
  for (const run of ['file', 'file/below']) {
    assert.throws(() => createWritableCopy(base, join(folder, run)), { name: 'RootfsError', message: /file/ });
  }
  for (const [shared, run] of [
    [base, join(base, 'srv/run')],
    [path, join(path, 'layers/0/srv/run')],
  ] as const) {
    assert.throws(() => createWritableCopy(shared, run), { code: 'ERR_OPTION_INVALID', message: /all copies share/ });
    assert.deepEqual(readdirSync(join(run, '..')), []);
  }
});

test('a failed overlay leaves nothing', async (t) => {
  const folder = tempDir(t);
  const { layers } = await mergeBuilt(folder, ...corners());
  writeFileSync(layers[2]?.path ?? '', 'not a tar at all, but long enough for a block'.repeat(20));
  const bad = layers.map(({ path }) => ({ path, tarBytes: lstatSync(path).size }));
  await assert.rejects(writeOverlay(bad, join(folder, 'overlay')), { code: 'ERR_TAR_INVALID' });
  assert.deepEqual(readdirSync(folder).sort(), ['layer-0.tar', 'layer-1.tar', 'layer-2.tar']);
});

test('a copy whose mount fails leaves nothing; one in a folder that was there leaves it empty', {
  skip: mayMount,
}, async (t) => {
  const folder = tempDir(t);
  const layers = writeLayers(folder, new LayerBuilder().file('a', 'a'), new LayerBuilder().file('b', 'b'));
  const { path } = await writeOverlay(layers, join(folder, 'over'));
  rmSync(join(path, 'layers', '0'), { recursive: true });
  const failure = { code: 'ERR_FILESYSTEM', message: /look whether .*over is whole, or write it again/ };
  assert.throws(() => createWritableCopy(path, join(folder, 'run')), failure);
  assert.equal(existsSync(join(folder, 'run')), false);
  mkdirSync(join(folder, 'there'));
  assert.throws(() => createWritableCopy(path, join(folder, 'there')), failure);
  assert.deepEqual(readdirSync(join(folder, 'there')), []);
});

test('what overlay.json says of the order of layers is what its links say', async (t) => {
  const folder = tempDir(t);
  const layers = writeLayers(folder, new LayerBuilder().file('a', 'a'));
  const { path } = await writeOverlay(layers, join(folder, 'over'));
  const facts = JSON.parse(readFileSync(join(path, 'overlay.json'), 'utf8'));
  writeFileSync(join(path, 'overlay.json'), JSON.stringify({ ...facts, lowerdir: '/etc:/usr,upperdir=/' }));
  assert.throws(() => createWritableCopy(path, join(folder, 'run'), { mount: false }), { code: 'ERR_LAYOUT_INVALID' });
});

test('where no device can mark a removed name, the other way is named, whatever losses are allowed', {
  skip: mayMount,
}, async (t) => {
  const folder = tempDir(t);
  const layers = writeLayers(folder, new LayerBuilder().file('a', 'a'), new LayerBuilder().whiteout('a'));
  for (const name of ['low', 'up', 'work', 'point']) mkdirSync(join(folder, name));
  const point = join(folder, 'point');
  const options = `lowerdir=${folder}/low,upperdir=${folder}/up,workdir=${folder}/work`;
  // In the overlay of a container, as Docker gives it one.
  native?.mount('overlay', point, 'overlay', 0, runningAs() === 'namespace' ? `${options},userxattr` : options);
  try {
    for (const allowLoss of [false, true]) {
      await assert.rejects(writeOverlay(layers, join(point, 'over'), { allowLoss }), {
        code: 'ERR_UNSUPPORTED',
        message: `${point}/over: the devices that mark removed names cannot be made here (EPERM); mark them by attributes (--whiteouts xattr, whiteouts: 'xattr'), or choose another file system`,
      });
    }
    assert.deepEqual(readdirSync(point), []);
  } finally {
    native?.unmount(point);
  }
});

test('devices of the image that are not made do not stand for whiteouts that are', {
  skip: native === undefined ? nativeMissing() : false,
}, async (t) => {
  const folder = tempDir(t);
  const base = new LayerBuilder().file('a/b/gone', 'gone').device('dev/zero', 'char', 1, 5);
  const top = new LayerBuilder().whiteout('a/b/gone').whiteout('dev/zero').device('dev/null', 'char', 1, 3);
  const { path } = await writeOverlay(writeLayers(folder, base, top), join(folder, 'over'), { allowLoss: true });
  for (const name of ['a/b/gone', 'dev/zero']) {
    const whiteout = lstatSync(join(path, 'layers', '1', name));
    assert.deepEqual([whiteout.isCharacterDevice(), whiteout.rdev], [true, 0], name);
  }
});
