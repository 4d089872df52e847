/** Leases: who uses what, and what becomes of those whose holder is gone. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LEASE_MS, listLeases, releaseLease, takeLease, withoutNewLeases } from '../../src/content/lease.js';
import { RootfsError } from '../../src/errors.js';
import { bootId, processMark, threadMark } from '../../src/io/process-mark.js';
import type { Digest } from '../../src/spec/digest.js';
import { doomedThread } from '../support/doomed-thread.js';
import { tempDir } from '../support/temp-dir.js';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

test('a lease names its holder, what it uses and until when; nothing of it is left afterwards', async (t) => {
  const root = tempDir(t);
  const lease = await takeLease(root, { purpose: 'a test', digests: [digest('a')] });
  await lease.add([digest('b')]);
  const [info, ...others] = await listLeases(root);
  assert.deepEqual(others, []);
  assert.equal(info?.purpose, 'a test');
  assert.equal(info?.pid, process.pid);
  assert.deepEqual(info?.digests, [digest('a'), digest('b')]);
  assert.ok((info?.expiresAt ?? 0) > Date.now());
  const file = JSON.parse(readFileSync(join(root, 'leases', `${lease.id}.json`), 'utf8')) as {
    holder: Record<string, unknown>;
  };
  assert.ok(typeof file.holder['host'] === 'string' && typeof file.holder['startedAt'] === 'number');
  await lease.release();
  await lease.release();
  await lease.add([digest('c')]);
  assert.deepEqual(readdirSync(root), []);
});

test('the lease of a process that died is none, whatever it says of its end', async (t) => {
  const root = tempDir(t);
  const child = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { takeLease } from ${JSON.stringify(new URL('../../src/content/lease.js', import.meta.url).href)};
       await takeLease(${JSON.stringify(root)}, { purpose: 'killed' });
       process.kill(process.pid, 'SIGKILL');`,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(child.signal, 'SIGKILL', child.stderr);
  assert.equal(readdirSync(join(root, 'leases')).length, 1);
  assert.deepEqual(await listLeases(root), []);
  assert.deepEqual(readdirSync(join(root, 'leases')), []);
});

test('the lease of a thread that was terminated is none, and its removing keeps nobody waiting', async (t) => {
  if (threadMark() === '') return t.skip('the system does not tell of threads');
  const root = tempDir(t);
  const thread = await doomedThread(
    `const { takeLease, withoutNewLeases } = await import(${JSON.stringify(new URL('../../src/content/lease.js', import.meta.url).href)});
     await takeLease(${JSON.stringify(root)}, { purpose: 'doomed' });
     await new Promise((begun) => void withoutNewLeases(${JSON.stringify(root)}, () => new Promise(begun)));`,
  );
  assert.deepEqual(
    (await listLeases(root)).map(({ purpose }) => purpose),
    ['doomed'],
  );
  await thread.terminate();
  assert.deepEqual(await listLeases(root), []);
  const lease = await takeLease(root, { purpose: 'next', signal: AbortSignal.timeout(5000) });
  await lease.release();
  assert.deepEqual(readdirSync(root), []);
});

test('where nothing is known of its thread, a lease in a living process lasts as long as it is renewed', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'leases'));
  const holder = { mark: processMark(), thread: '' };
  const lease = { version: 1, purpose: 'x', holder, createdAt: 5, digests: [] };
  writeFileSync(join(root, 'leases', 'runs.json'), JSON.stringify({ ...lease, expiresAt: Date.now() + 60_000 }));
  writeFileSync(join(root, 'leases', 'ended.json'), JSON.stringify({ ...lease, expiresAt: Date.now() - 1 }));
  assert.deepEqual(
    (await listLeases(root)).map(({ id }) => id),
    ['runs'],
  );
});

test('the next lease to end takes the file of a dead one with it', async (t) => {
  const root = tempDir(t);
  const lease = await takeLease(root, { purpose: 'living' });
  const dead = JSON.stringify({
    version: 1,
    purpose: 'dead',
    holder: { mark: 'elsewhere' },
    createdAt: 0,
    expiresAt: 1,
  });
  writeFileSync(join(root, 'leases', 'dead.json'), dead);
  await lease.release();
  assert.equal(existsSync(join(root, 'leases')), false);
});

test('a holder elsewhere is believed until its lease runs out; a file of another version keeps everything meanwhile', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'leases'));
  const write = (name: string, value: unknown): string => {
    const path = join(root, 'leases', name);
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
    return path;
  };
  const elsewhere = {
    version: 1,
    purpose: 'x',
    holder: { mark: 'elsewhere' },
    createdAt: 5,
    digests: [digest('a'), 'x', 1],
  };
  write('runs.json', { ...elsewhere, expiresAt: Date.now() + 60_000 });
  write('ended.json', { ...elsewhere, expiresAt: Date.now() - 1 });
  write('newer.json', { ...elsewhere, version: 2 });
  const old = write('garbage.json', '{');
  const past = new Date(Date.now() - LEASE_MS - 1000);
  utimesSync(old, past, past);
  const found = await listLeases(root);
  assert.deepEqual(
    found.map(({ id, open, digests }) => [id, open, digests]),
    [
      ['newer', true, []],
      ['runs', false, [digest('a')]],
    ],
  );
});

test('a lease that a process was about to write when it died keeps nothing, and goes', async (t) => {
  const root = tempDir(t);
  const folder = join(root, 'leases');
  mkdirSync(folder);
  const dead = processMark().replace(/-\d+-\d+$/, '-4194303-77');
  const end = '-0123456789ab.json.01234567.tmp';
  for (const mark of [dead, processMark()]) writeFileSync(join(folder, `${mark}${end}`), '');
  // One of a newer version may be a mount's: its process need not live.
  writeFileSync(join(folder, `${dead}-0123456789ab.json`), '{"version":2}');
  assert.equal((await listLeases(root)).length, 2);
  assert.deepEqual(readdirSync(folder).sort(), [`${dead}-0123456789ab.json`, `${processMark()}${end}`].sort());
});

test('a detached lease outlives its process until somebody gives it back', async (t) => {
  const root = tempDir(t);
  const child = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { takeLease } from ${JSON.stringify(new URL('../../src/content/lease.js', import.meta.url).href)};
       const lease = await takeLease(${JSON.stringify(root)}, { purpose: 'mount /mnt', detached: true, digests: ['${digest('a')}'] });
       process.stdout.write(lease.id);`,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(child.status, 0, child.stderr);
  assert.deepEqual(
    (await listLeases(root)).map(({ id, digests, expiresAt }) => [id, digests, expiresAt]),
    [[child.stdout, [digest('a')], undefined]],
  );
  await releaseLease(root, child.stdout);
  await releaseLease(root, child.stdout);
  await releaseLease(root, '../../etc/passwd');
  assert.deepEqual(await listLeases(root), []);
});

test('a detached lease stays when the machine is given another name', {
  skip: process.platform !== 'linux',
}, async (t) => {
  const root = tempDir(t);
  const { id } = await takeLease(root, { purpose: 'mount', detached: true });
  const named = t.mock.method(os, 'hostname', () => 'another-name');
  syncBuiltinESMExports();
  try {
    assert.deepEqual(
      (await listLeases(root)).map((lease) => lease.id),
      [id],
    );
  } finally {
    named.mock.restore();
    syncBuiltinESMExports();
  }
});

test('a detached lease of an earlier boot is none', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'leases'));
  const value = { version: 1, purpose: 'x', holder: { mark: 'm' }, boot: 'another', createdAt: 1, digests: [] };
  writeFileSync(join(root, 'leases', 'x.json'), JSON.stringify(value));
  assert.deepEqual(await listLeases(root), []);
});

test('whoever wants a lease waits for the end of removing, and is not missed by the next', async (t) => {
  const root = tempDir(t);
  const order: string[] = [];
  let entered = (): void => {};
  const begun = new Promise<void>((resolve) => {
    entered = resolve;
  });
  let finish = (): void => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const removing = withoutNewLeases(root, async (leases) => {
    assert.equal(leases.length, 0);
    entered();
    await finished;
    order.push('removed');
  });
  await begun;
  const taking = takeLease(root, { purpose: 'late', digests: [digest('a')] }).then((lease) => {
    order.push('taken');
    return lease;
  });
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  await removing;
  const lease = await taking;
  assert.deepEqual(order, ['removed', 'taken']);
  await withoutNewLeases(root, async (leases) => assert.deepEqual(leases[0]?.digests, [digest('a')]));
  await lease.release();
});

test('who waits can be told to stop; who is told before takes nothing', async (t) => {
  const root = tempDir(t);
  const stop = new AbortController();
  const reason = new Error('no more');
  await withoutNewLeases(root, async () => {
    const taking = takeLease(root, { purpose: 'late', signal: stop.signal });
    stop.abort(reason);
    await assert.rejects(taking, (error) => error === reason);
  });
  await assert.rejects(takeLease(root, { purpose: 'x', signal: stop.signal }), (error) => error === reason);
  assert.deepEqual(readdirSync(root), []);
});

test('what cannot be added is told in our own words', async (t) => {
  const root = tempDir(t);
  const lease = await takeLease(root, { purpose: 'x' });
  rmSync(join(root, 'leases'), { recursive: true });
  writeFileSync(join(root, 'leases'), '');
  await assert.rejects(
    lease.add([digest('a')]),
    (error) => error instanceof RootfsError && /leases/.test(error.message),
  );
  rmSync(join(root, 'leases'));
  await lease.release();
});

test('a folder that is not there is an error', async (t) => {
  await assert.rejects(takeLease(join(tempDir(t), 'none'), { purpose: 'x' }), { code: 'ERR_NOT_FOUND' });
});

test('a mount is a lease on its layers as long as its machine runs', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'mounts'));
  const record = { version: 1, mountpoint: '/mnt/app', layers: [digest('a'), 'no digest'], pid: 7 };
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(root, 'mounts', name), JSON.stringify(value));
  write('one.json', { ...record, boot: bootId() });
  write('two.json', { ...record, boot: 'an earlier one' });
  writeFileSync(join(root, 'mounts', 'three.json'), '{');
  mkdirSync(join(root, 'mounts', 'one.lower'));
  const found = await listLeases(root);
  assert.deepEqual(
    found.map(({ id, purpose, digests, open }) => [id, purpose, digests, open]),
    [['mount-one', 'mount /mnt/app', [digest('a')], false]],
  );
});

test('a pipe among the leases is one of somebody unknown, and is not waited for', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'leases'));
  const pipe = join(root, 'leases', '0-0-0.json');
  execFileSync('mkfifo', [pipe]);
  let isWaitedFor = false;
  const late = setTimeout(() => {
    isWaitedFor = true;
    closeSync(openSync(pipe, 'r+'));
  }, 5_000);
  assert.deepEqual(
    (await listLeases(root)).map(({ purpose }) => purpose),
    ['unknown'],
  );
  clearTimeout(late);
  assert.equal(isWaitedFor, false);
});

test('a lease of 4 MiB is read, a longer one is of somebody unknown', async (t) => {
  const root = tempDir(t);
  mkdirSync(join(root, 'leases'));
  const lease = await takeLease(root, { purpose: 'test' });
  const [name = ''] = readdirSync(join(root, 'leases')).filter((file) => file.endsWith('.json'));
  const path = join(root, 'leases', name);
  const text = readFileSync(path, 'utf8');
  const purposes = async (): Promise<readonly string[]> => (await listLeases(root)).map(({ purpose }) => purpose);
  for (const [length, purpose] of [
    [4 * 1024 * 1024, 'test'],
    [4 * 1024 * 1024 + 1, 'unknown'],
  ] as const) {
    writeFileSync(path, text.padEnd(length));
    assert.deepEqual(await purposes(), [purpose]);
  }
  await lease.release();
});
