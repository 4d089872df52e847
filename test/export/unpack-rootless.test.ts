import assert from 'node:assert/strict';
import fs, {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { unpack } from '../../src/export/unpack.js';
import { Directory } from '../../src/io/directory.js';
import { emptyDirectory } from '../../src/io/remove-tree.js';
import { runningAs, runTestsAs } from '../support/as-user.js';
import { type HandEntry, handTree } from '../support/hand-tree.js';
import { listTree } from '../support/list-tree.js';
import { tempDir } from '../support/temp-dir.js';

const outermost = process.geteuid?.() === 0 && runningAs() === undefined;
const bare = process.env['ROOTFS_NATIVE'] === '0';
const inside = outermost || bare ? 'runs as others, with native calls' : false;
const insideBare = outermost || !bare ? 'runs as others, without native calls' : false;
const file = new URL(import.meta.url);

const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
const entries: readonly HandEntry[] = [
  { path: 'etc/shadow', content: 's', mode: 0o640, uid: 0, gid: 42, xattrs: { 'user.rootlesscontainers': '\x08\x07' } },
  { path: 'etc/passwd', content: 'p', xattrs: { 'user.rootlesscontainers': '\x08\x07' } },
  { path: 'home/me', type: 'directory', mode: 0o700, uid: 1000, gid: 1000 },
  { path: 'home/me/locked', content: 'l', mode: 0o400, uid: 1000, gid: 1000 },
  { path: 'home/me/link', target: 'locked', uid: 1000, gid: 1000 },
  { path: 'home/me/second', linkTo: 'home/me/locked' },
  { path: 'closed', type: 'directory', mode: 0o500 },
  { path: 'closed/none', type: 'directory', mode: 0 },
  { path: 'closed/none/file', content: 'deep', mode: 0 },
  { path: 'dev/null', type: 'char', rdev: [1, 3], mode: 0o666 },
  { path: 'dev/zero', linkTo: 'dev/null' },
  { path: 'dev/sda', type: 'block', rdev: [8, 0], mode: 0o660, gid: 6, xattrs: { 'trusted.x': 'y' } },
  { path: 'run/pipe', type: 'fifo', mode: 0o622 },
  { path: 'bin/ping', content: 'ping', mode: 0o755, xattrs: { 'security.capability': capability, 'user.x': 'y' } },
  { path: 'bin/ping6', linkTo: 'bin/ping' },
  { path: 'bin/su', content: 'su', mode: 0o4755 },
  { path: 'na\xefve', content: 'bytes', uid: 3 },
];

function sideFile(path: string): { head: Record<string, unknown>; records: Record<string, Record<string, unknown>> } {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const [head = {}, ...rest] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { head, records: Object.fromEntries(rest.map((record) => [record['path'] ?? record['pathBase64'], record])) };
}

for (const other of ['user', 'namespace'] as const) {
  test(`all of this as ${other}`, { skip: outermost && !bare ? false : 'needs root to become another' }, () => {
    const run = runTestsAs(other, [file]);
    assert.equal(run.status, 0, run.output);
    assert.ok(run.pass >= 3, run.output);
    const without = runTestsAs(other, [file], { ROOTFS_NATIVE: '0' });
    assert.equal(without.status, 0, without.output);
    assert.equal(without.pass, 1, without.output);
  });
}

test('without root owners go to the side file and to attributes, devices are recorded', { skip: inside }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const dst = join(folder, 'root');
  const result = await unpack(tree, layers, dst);
  assert.equal(result.ownershipFile, `${dst}.ownership`);
  assert.deepEqual(result.absent, ['dev/null', 'dev/sda', 'dev/zero']);
  assert.deepEqual(result.skippedXattrs, { 'user.rootlesscontainers': 2 });
  const { head, records } = sideFile(`${dst}.ownership`);
  const ids = { hostUid: process.geteuid?.(), hostGid: process.getegid?.() };
  assert.deepEqual(head, { format: 'rootfs-kit.ownership', version: 1, ...ids });
  assert.deepEqual(records['etc/shadow'], { path: 'etc/shadow', uid: 0, gid: 42 });
  assert.equal(records['etc/passwd'], undefined);
  assert.deepEqual(records['home/me/link'], { path: 'home/me/link', uid: 1000, gid: 1000 });
  const mtime = [1_700_000_000, 0];
  const xattrs = { 'trusted.x': Buffer.from('y').toString('base64') };
  const sda = { path: 'dev/sda', uid: 0, gid: 6, mode: 0o660, absent: 'block', major: 8, minor: 0, mtime, xattrs };
  assert.deepEqual(records['dev/sda'], sda);
  const nothing = { mode: 0o666, absent: 'char', major: 1, minor: 3, mtime };
  assert.deepEqual(records['dev/null'], { path: 'dev/null', ...nothing });
  assert.deepEqual(records['dev/zero'], { path: 'dev/zero', ...nothing, link: 'dev/null' });
  assert.deepEqual(records['home/me/second'], { path: 'home/me/second', uid: 1000, gid: 1000 });
  assert.deepEqual(records['closed'], { path: 'closed', mode: 0o500 });
  assert.deepEqual(records['closed/none'], { path: 'closed/none', mode: 0 });
  assert.equal(records[Buffer.from('na\xefve', 'latin1').toString('base64')]?.['uid'], 3);
  const found = listTree(dst, { content: false });
  const me = { uid: process.geteuid?.(), gid: process.getegid?.() };
  for (const [path, { uid, gid }] of Object.entries(found)) assert.deepEqual({ path, uid, gid }, { path, ...me });
  assert.equal(found['etc/shadow']?.mode, 0o640);
  assert.equal(found['etc/shadow']?.xattrs?.['user.rootlesscontainers'], '102a');
  assert.equal(found['home/me']?.xattrs?.['user.rootlesscontainers'], '08e80710e807');
  assert.equal(found['home/me/locked']?.xattrs?.['user.rootlesscontainers'], '08e80710e807');
  assert.equal(found['home/me/locked']?.mode, 0o400);
  assert.equal(found['home/me/second']?.linkOf, 'home/me/locked');
  assert.equal(found['etc/passwd']?.xattrs, undefined);
  assert.equal(found['closed']?.mode, 0o700);
  assert.equal(found['closed/none']?.mode, 0o700);
  assert.equal(found['closed/none/file']?.mode, 0);
  assert.equal(found['run/pipe']?.type, 'fifo');
  assert.equal(found['bin/su']?.mode, 0o4755);
  assert.equal(found['bin/ping']?.xattrs?.['user.x'], '79');
  const capabilities = found['bin/ping']?.xattrs?.['security.capability'];
  const recorded = records['bin/ping']?.['xattrs'];
  if (runningAs() === 'namespace') assert.ok(capabilities !== undefined && recorded === undefined);
  else assert.deepEqual(recorded, { 'security.capability': capability.toString('base64') });
  assert.deepEqual(records['bin/ping6']?.['xattrs'], recorded);
  rmSync(dst, { recursive: true });
  assert.equal(existsSync(dst), false);
});

test('a run that fails without root leaves nothing, closed directories and side file included', {
  skip: inside,
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [...entries, { path: `z/${'n'.repeat(256)}`, content: 'z' }]);
  await assert.rejects(unpack(tree, layers, join(folder, 'root')), { code: 'ERR_FILESYSTEM' });
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('a directory whose parent may not be written is filled in place, and emptied on failure', {
  skip: inside || runningAs() === 'namespace' ? 'needs a user without powers' : false,
}, async (t) => {
  const folder = tempDir(t);
  const good = handTree(folder, entries);
  const dst = join(folder, 'shut', 'root');
  mkdirSync(dst, { recursive: true });
  chmodSync(join(folder, 'shut'), 0o555);
  const { ino } = lstatSync(dst);
  const said: string[] = [];
  const result = await unpack(good.tree, good.layers, dst, {
    onProgress: (event) => event.type === 'warning:raised' && said.push(event.message),
  });
  assert.equal(lstatSync(dst).ino, ino);
  assert.equal(result.ownershipFile, undefined);
  assert.match(said.join(), /side file: .*; take a folder whose parent may be written, or name/);
  const opened = Directory.open(dst);
  emptyDirectory(opened);
  opened.close();
  const bad = handTree(tempDir(t), [...entries, { path: `z/${'n'.repeat(256)}`, content: 'z' }]);
  await assert.rejects(unpack(bad.tree, bad.layers, dst), { code: 'ERR_FILESYSTEM' });
  assert.deepEqual(readdirSync(dst), []);
  const ownershipFile = join(folder, 'owners');
  const elsewhere = await unpack(good.tree, good.layers, dst, { ownershipFile });
  assert.equal(elsewhere.ownershipFile, ownershipFile);
});

test('an older side file is replaced; one that may not be written fails the run', { skip: inside }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  writeFileSync(join(folder, 'root.ownership'), 'old');
  await unpack(tree, layers, join(folder, 'root'));
  assert.equal(sideFile(join(folder, 'root.ownership')).head['version'], 1);
  const ownershipFile = join(folder, 'no', 'where');
  await assert.rejects(unpack(tree, layers, join(folder, 'other'), { ownershipFile }), { code: 'ERR_FILESYSTEM' });
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'root', 'root.ownership']);
});

test('who comes second to a directory leaves the side file of the first as it is', { skip: inside }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const dst = join(folder, 'root');
  const runs = await Promise.allSettled([unpack(tree, layers, dst), unpack(tree, layers, dst)]);
  const failed = runs.flatMap((run) => (run.status === 'rejected' ? [run.reason as { code: string }] : []));
  assert.deepEqual(
    failed.map(({ code }) => code),
    ['ERR_BUSY'],
  );
  assert.equal(sideFile(`${dst}.ownership`).records['etc/shadow']?.['gid'], 42);
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'root', 'root.ownership']);
});

test('the side file has its name before the tree has: no death leaves a tree without it', {
  skip: inside,
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const rename = fs.renameSync;
  const seen: boolean[] = [];
  t.mock.method(fs, 'renameSync', (from: string, to: string) => {
    if (String(to).endsWith('/root')) seen.push(existsSync(join(folder, 'root.ownership')));
    rename(from, to);
  });
  syncBuiltinESMExports();
  await unpack(tree, layers, join(folder, 'root')).finally(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  assert.deepEqual(seen, [true]);
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'root', 'root.ownership']);
});

test('a directory where the side file goes fails the run before anything is in place', { skip: inside }, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  mkdirSync(join(folder, 'root.ownership'));
  await assert.rejects(unpack(tree, layers, join(folder, 'root')), { code: 'ERR_OPTION_INVALID' });
  assert.deepEqual(readdirSync(folder).sort(), ['layer.tar', 'root.ownership']);
});

test('without native calls nothing fails without root: what is missing is recorded', {
  skip: insideBare,
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, entries);
  const result = await unpack(tree, layers, join(folder, 'root'));
  assert.deepEqual(result.absent, ['dev/null', 'dev/sda', 'dev/zero', 'run/pipe']);
  const { records } = sideFile(join(folder, 'root.ownership'));
  const xattrs = Object.keys((records['bin/ping']?.['xattrs'] ?? {}) as object);
  assert.deepEqual(xattrs.sort(), ['security.capability', 'user.x']);
  assert.deepEqual(records['bin/ping6']?.['xattrs'], records['bin/ping']?.['xattrs']);
  assert.equal(records['run/pipe']?.['absent'], 'fifo');
});

test('a directory that cannot be made is named once', {
  skip: inside || (process.geteuid?.() === 0 ? 'root may write everywhere' : false),
}, async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'etc/passwd', content: 'p' }]);
  const dst = join(folder, 'closed', 'root');
  mkdirSync(dst, { recursive: true });
  for (const path of [dst, join(folder, 'closed')]) chmodSync(path, 0o500);
  try {
    await assert.rejects(unpack(tree, layers, dst), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_PERMISSION');
      assert.ok(error.message.startsWith(`${dst}/etc: EACCES`), error.message);
      return true;
    });
    assert.deepEqual(readdirSync(dst), []);
  } finally {
    for (const path of [join(folder, 'closed'), dst]) chmodSync(path, 0o700);
  }
});
