/** Where trees are written: two in one place, what killed runs left, names of many bytes. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openDestination } from '../../src/export/destination.js';
import { flattenFile } from '../../src/export/flatten-file.js';
import { intoPlace } from '../../src/export/image-file.js';
import { unpack } from '../../src/export/unpack.js';
import { processMark } from '../../src/io/process-mark.js';
import { handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

test('of two runs that write one directory the second is refused by name, and leaves nothing', async (t) => {
  const folder = tempDir(t, 'two');
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a', uid: process.getuid?.() ?? 0 }]);
  const dst = join(folder, 'root');
  const runs = await Promise.allSettled([unpack(tree, layers, dst), unpack(tree, layers, dst)]);
  const failed = runs.flatMap((run) => (run.status === 'rejected' ? [run.reason as Error & { code: string }] : []));
  assert.deepEqual(
    failed.map(({ code }) => code),
    ['ERR_BUSY'],
  );
  assert.match(failed[0]?.message ?? '', /root: expected an empty directory .* filled meanwhile; use what is there/);
  assert.deepEqual(readdirSync(dst), ['a']);
  const kept = readdirSync(folder).filter((name) => !name.endsWith('.ownership'));
  assert.deepEqual(kept.sort(), ['layer.tar', 'root']);
});

test('a file that comes in the way is told as such, and stays', (t) => {
  const dst = join(tempDir(t, 'file'), 'root');
  const destination = openDestination(dst);
  writeFileSync(dst, 'mine');
  assert.throws(() => destination.commit(), { code: 'ERR_BUSY', message: /found something that is no directory/ });
  destination.discard();
  assert.ok(lstatSync(dst).isFile());
});

test('a tree leaves its path again where what belongs to it fails', (t) => {
  const folder = tempDir(t, 'also');
  const dst = join(folder, 'root');
  const fail = (): void => {
    throw new Error('also');
  };
  for (const before of [[], ['root']]) {
    if (before.length > 0) mkdirSync(dst, { mode: 0o750 });
    const destination = openDestination(dst);
    writeFileSync(destination.root.at('a'), 'a');
    assert.throws(() => destination.commit(fail), { message: 'also' });
    destination.discard();
    assert.deepEqual(readdirSync(folder), before);
  }
  assert.equal(lstatSync(dst).mode & 0o777, 0o750);
  assert.deepEqual(readdirSync(dst), []);
});

test('a directory that cannot be opened when it was made is not left', (t) => {
  const folder = tempDir(t, 'few');
  const script = `
    import { closeSync, openSync } from 'node:fs';
    import { openDestination } from ${JSON.stringify(new URL('../../src/export/destination.js', import.meta.url).href)};
    const dst = ${JSON.stringify(join(folder, 'root'))};
    openDestination(dst).discard();
    const held = [];
    try { for (;;) held.push(openSync('/dev/null')); } catch {}
    closeSync(held.pop());
    try { openDestination(dst); } catch (error) { console.log(error.message); }`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const run = spawnSync('sh', ['-c', 'ulimit -n 100; exec "$@"', 'sh', ...node], { encoding: 'utf8' });
  assert.match(run.stdout, /^.*: EMFILE: .*; allow more open files \(ulimit -n\)\n$/, run.stderr);
  assert.deepEqual(readdirSync(folder), []);
});

test('what dead processes left beside a destination goes, and nothing else', (t) => {
  const folder = tempDir(t, 'left');
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'theirs'), 'x');
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  const leftover = join(folder, `.other.rootfs-${dead}-0123456789ab`);
  mkdirSync(join(leftover, 'closed'), { recursive: true });
  symlinkSync(outside, join(leftover, 'link'));
  writeFileSync(join(leftover, 'closed', 'file'), 'x');
  chmodSync(join(leftover, 'closed'), 0);
  writeFileSync(join(folder, `.root.ownership.rootfs-${dead}-0123456789ab`), 'x');
  symlinkSync(outside, join(folder, `.l.rootfs-${dead}-0123456789ab`));
  mkdirSync(join(folder, `.disk.rootfs-${dead}-0123456789ab.d`, 'content'), { recursive: true });
  const stays = [
    `.living.rootfs-${processMark()}-0123456789ab`,
    '.elsewhere.rootfs-00000000-1-1-0123456789ab',
    `.name.rootfs-${dead}`,
    `visible.rootfs-${dead}-0123456789ab`,
    `.old.rootfs-4194303-0123456789ab`,
  ];
  for (const name of stays) mkdirSync(join(folder, name));
  const destination = openDestination(join(folder, 'root'));
  destination.commit();
  assert.deepEqual(readdirSync(folder).sort(), [...stays, 'outside', 'root'].sort());
  assert.deepEqual(readdirSync(outside), ['theirs']);
});

test('what a killed process was writing is gone after the next run beside it', async (t) => {
  const folder = tempDir(t, 'killed');
  const module = JSON.stringify(new URL('../../src/export/destination.js', import.meta.url).href);
  const program = `const { openDestination } = await import(${module});
    const { mkdirSync } = await import('node:fs');
    mkdirSync(openDestination(process.argv[1]).root.at('half'));
    console.log('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, join(folder, 'root')]);
  const ended = new Promise((done) => child.once('close', done));
  const lines = createInterface({ input: child.stdout });
  assert.equal((await lines[Symbol.asyncIterator]().next()).value, 'ready');
  const [working = ''] = readdirSync(folder);
  openDestination(join(folder, 'one')).commit();
  assert.ok(existsSync(join(folder, working, 'half')), 'a living process keeps what it writes');
  child.kill('SIGKILL');
  await ended;
  openDestination(join(folder, 'two')).commit();
  assert.deepEqual(readdirSync(folder).sort(), ['one', 'two']);
});

test('files are written beside their place too, through a link to their folder, and sweep it', async (t) => {
  const folder = tempDir(t, 'files');
  const real = join(folder, 'real');
  mkdirSync(real);
  symlinkSync('real', join(folder, 'link'));
  const leave = (): void => {
    const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
    writeFileSync(join(real, `.a.rootfs-${dead}-0123456789ab`), 'x');
  };
  const { tree, layers } = handTree(folder, [{ path: 'a', content: 'a' }]);
  leave();
  await flattenFile(tree, layers, join(folder, 'link', 'a.tar'));
  assert.deepEqual(readdirSync(real), ['a.tar']);
  leave();
  await intoPlace(join(folder, 'link', 'image'), ({ fd }) => Promise.resolve(writeFileSync(fd, 'image')));
  assert.deepEqual(readdirSync(real).sort(), ['a.tar', 'image']);
  const nowhere = join(folder, 'no', 'image');
  await assert.rejects(
    intoPlace(nowhere, () => Promise.resolve()),
    { code: 'ERR_NOT_FOUND' },
  );
});

test('a name of 255 bytes has a working name that is a name, also as text', (t) => {
  for (const name of [
    'n'.repeat(255),
    `n${'\u00e9'.repeat(127)}`,
    `nn${'\u20ac'.repeat(84)}`,
    '\u{1f4e6}'.repeat(63),
  ]) {
    const destination = openDestination(join(tempDir(t, 'long'), name));
    writeFileSync(join(destination.workingPath, 'file'), 'x');
    destination.commit();
    assert.deepEqual(readdirSync(destination.path), ['file']);
  }
});
