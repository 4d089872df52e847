/** `prepareRootfs` where many ask, at once or one after another: one writes, the others get it where it is the same. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { FORMS, prepareRootfs } from '../src/index.js';
import { processMark } from '../src/io/process-mark.js';
import { image, LayerBuilder, writeLayout } from '../src/testing/testing.js';
import { runningAs, runTestsAs } from './support/as-user.js';
import { REPOSITORY } from './support/rootfs.js';
import { tempDir } from './support/temp-dir.js';

const IMAGE = `oci:${join(REPOSITORY, 'fixtures/hello')}`;
/** A folder with a layout and a store, in a run as another user who has both too. */
const SHARED = process.env['ROOTFS_TEST_SHARED'];
const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const LINUX = process.platform === 'linux' ? false : 'some forms are Linux';

for (const { name: form } of FORMS) {
  test(`eight at once get the same ${form}, written once`, { skip: LINUX }, async (t) => {
    const store = tempDir(t);
    const prepared = await Promise.all(
      Array.from({ length: 8 }, () => prepareRootfs(IMAGE, { store, form, platform: 'linux/amd64' })),
    );
    assert.equal(new Set(prepared.map(({ path }) => path)).size, 1);
    assert.equal(prepared.filter(({ reused }) => !reused).length, 1);
    const left = readdirSync(dirname(prepared[0]?.path ?? '')).filter((name) => !name.endsWith('.ownership'));
    assert.equal(left.length, 1, `no lock is left beside it: ${left}`);
  });
}

test('who waits for a form that is being written can give up, with its own reason', async (t) => {
  const store = tempDir(t);
  const controller = new AbortController();
  const reason = new Error('enough');
  let waiting: Promise<unknown> | undefined;
  const first = await prepareRootfs(IMAGE, {
    store,
    platform: 'linux/amd64',
    onProgress: ({ type }) => {
      if (type !== 'entries:written' || waiting !== undefined) return;
      waiting = assert.rejects(
        prepareRootfs(IMAGE, { store, platform: 'linux/amd64', signal: controller.signal }),
        (error) => error === reason,
      );
      controller.abort(reason);
    },
  });
  assert.ok(waiting !== undefined);
  await waiting;
  assert.equal(first.reused, false);
});

test('prepares in a store that is not its own alone', {
  skip: SHARED === undefined ? 'runs as others' : false,
}, async () => {
  for (const { name: form } of FORMS) {
    const { reused } = await prepareRootfs(`oci:${SHARED}/layout:latest`, { store: `${SHARED}/store`, form });
    assert.equal(reused, false, form);
  }
});

test('what an ordinary user has prepared is not given to root', {
  skip: outermost ? false : 'needs root to become another',
}, async (t) => {
  const folder = tempDir(t);
  const layer = new LayerBuilder().dir('etc').file('etc/shadow', 'secret', { gid: 42, mode: 0o640 });
  layer.file('su', 'x', { mode: 0o4755 });
  await writeLayout(join(folder, 'layout'), { latest: image().layer(layer.tar()).build() });
  execFileSync('chown', ['-R', '65534:65534', folder]);
  const run = runTestsAs('user', [new URL(import.meta.url)], { ROOTFS_TEST_SHARED: folder });
  assert.equal(run.status, 0, run.output);
  const store = join(folder, 'store');
  const prepare = (form: string): ReturnType<typeof prepareRootfs> =>
    prepareRootfs(`oci:${folder}/layout:latest`, { store, form });
  for (const { name: form } of FORMS) {
    const { path, reused } = await prepare(form);
    assert.equal(reused, false, form);
    assert.equal((await prepare(form)).reused, true, form);
    const root = { directory: path, bundle: join(path, 'rootfs'), overlay: join(path, 'layers/0') }[form];
    if (root === undefined) continue;
    const { uid, gid, mode } = lstatSync(join(root, 'etc/shadow'));
    assert.deepEqual([uid, gid, mode & 0o7777], [0, 42, 0o640], form);
    const su = lstatSync(join(root, 'su'));
    assert.deepEqual([su.uid, su.mode & 0o7777], [0, 0o4755], form);
  }
  const own = dirname((await prepare('tar')).path);
  const foreign = { code: 'ERR_PERMISSION', message: /only this user may write, found/ };
  chmodSync(own, 0o777);
  await assert.rejects(prepare('tar'), foreign);
  chmodSync(own, 0o700);
  chownSync(own, 65534, 65534);
  await assert.rejects(prepare('tar'), foreign);
});

test('the lock of a run that was killed when the form was there goes with the next use', async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'store');
  await writeLayout(join(folder, 'layout'), {
    latest: image()
      .layer((layer) => layer.file('a', 'a'))
      .build(),
  });
  const { path } = await prepareRootfs(`oci:${folder}/layout:latest`, { store });
  symlinkSync(`${processMark().replace(/-\d+-\d+$/, '-4194303-77')} 00`, `${path}.lock`);
  assert.equal((await prepareRootfs(`oci:${folder}/layout:latest`, { store })).reused, true);
  const left = readdirSync(dirname(path)).filter((name) => !name.endsWith('.ownership'));
  assert.deepEqual(left, [basename(path)]);
});

test('a tar is used again for the same SOURCE_DATE_EPOCH only', async (t) => {
  const folder = tempDir(t);
  const store = join(folder, 'store');
  await writeLayout(join(folder, 'layout'), {
    latest: image()
      .layer(new LayerBuilder().file('late', '', { mtime: 2000 }).tar())
      .build(),
  });
  const prepare = async (epoch: string | undefined): Promise<readonly [reused: boolean, mtime: number]> => {
    if (epoch === undefined) delete process.env['SOURCE_DATE_EPOCH'];
    else process.env['SOURCE_DATE_EPOCH'] = epoch;
    const { path, reused } = await prepareRootfs(`oci:${folder}/layout:latest`, { store, form: 'tar' });
    // The second member, after the root: its time stands in octal.
    return [reused, Number.parseInt(readFileSync(path).toString('latin1', 512 + 136, 512 + 147), 8)];
  };
  const before = process.env['SOURCE_DATE_EPOCH'];
  try {
    assert.deepEqual(await prepare(undefined), [false, 2000]);
    assert.deepEqual(await prepare('1500'), [false, 1500]);
    assert.deepEqual(await prepare(undefined), [true, 2000]);
    assert.deepEqual(await prepare('1500'), [true, 1500]);
    await assert.rejects(prepare('soon'), { code: 'ERR_OPTION_INVALID', message: /SOURCE_DATE_EPOCH/ });
  } finally {
    if (before === undefined) delete process.env['SOURCE_DATE_EPOCH'];
    else process.env['SOURCE_DATE_EPOCH'] = before;
  }
});
