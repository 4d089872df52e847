/** The pool: how many, in which order, and what happens when a worker fails, dies or is told to stop. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RootfsError } from '../../src/errors.js';
import { WorkerPool } from '../../src/io/worker-pool.js';
import { REPOSITORY, ROOTFS_BIN } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import type { PoolTask } from './pool-entry.js';

const ENTRY = new URL('./pool-entry.js', import.meta.url);

function makePool(
  t: { after(fn: () => Promise<void>): void },
  size: number,
  heapMb?: number,
): WorkerPool<PoolTask, number> {
  const pool = new WorkerPool<PoolTask, number>(ENTRY, { name: 'test', size, heapMb });
  t.after(() => pool.close());
  return pool;
}

function gate(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

function open(closed: Int32Array): void {
  Atomics.store(closed, 0, 1);
  Atomics.notify(closed, 0);
}

test('tasks run in at most so many threads, and all of them run', async (t) => {
  const pool = makePool(t, 2);
  assert.equal(pool.idle, 2);
  const closed = gate();
  const running = [1, 2, 3].map(() => pool.run({ do: 'wait-for', gate: closed }));
  assert.equal(pool.idle, 0);
  open(closed);
  const threads = await Promise.all([...running, pool.run({ do: 'thread' }), pool.run({ do: 'thread' })]);
  assert.equal(new Set(threads).size, 2);
  assert.equal(pool.idle, 2);
  pool.grow(1);
  assert.equal(pool.size, 2);
  pool.grow(3);
  assert.equal(pool.idle, 3);
});

test('errors come back with their codes, details and causes', async (t) => {
  const pool = makePool(t, 1);
  await assert.rejects(pool.run({ do: 'rootfs-error' }), (error: RootfsError) => {
    assert.ok(error instanceof RootfsError);
    assert.equal(error.code, 'ERR_DECOMPRESS');
    assert.equal(error.message, 'x: damaged');
    assert.deepEqual(error.detail, { at: 5 });
    assert.match((error.cause as Error).message, /below/);
    assert.match(error.stack ?? '', /pool-entry/);
    return true;
  });
  await assert.rejects(pool.run({ do: 'system-error' }), { code: 'ENOSPC', message: /no space left/ });
});

test('a worker that dies fails its task with a code, and the next task gets another', async (t) => {
  const pool = makePool(t, 1, 16);
  for (const dying of ['exit', 'throw-later', 'eat-memory'] as const) {
    const fate = pool.run({ do: dying });
    const next = pool.run({ do: 'thread' });
    await assert.rejects(fate, { code: 'ERR_INTERNAL', message: /^worker test: / }, dying);
    assert.equal(typeof (await next), 'number', dying);
  }
});

test('a task that was told to stop ends with the reason of the caller', async (t) => {
  const pool = makePool(t, 1);
  const controller = new AbortController();
  const reason = new Error('enough');
  const running = pool.run({ do: 'wait-for', gate: gate() }, { signal: controller.signal });
  const queued = pool.run({ do: 'thread' }, { signal: controller.signal });
  const other = pool.run({ do: 'thread' });
  controller.abort(reason);
  for (const ended of await Promise.allSettled([running, queued])) {
    assert.equal(ended.status === 'rejected' && ended.reason, reason);
  }
  assert.equal(typeof (await other), 'number');
  await assert.rejects(pool.run({ do: 'thread' }, { signal: controller.signal }), reason);
});

test('a task that does not hear is ended with its worker', async (t) => {
  const pool = makePool(t, 1);
  const controller = new AbortController();
  const deaf = pool.run({ do: 'ignore-stop', gate: gate() }, { signal: controller.signal });
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(deaf, reason);
  assert.equal(typeof (await pool.run({ do: 'thread' })), 'number');
});

test('closing ends idle workers only: what runs, and what comes meanwhile, is done', async (t) => {
  const pool = makePool(t, 2);
  const closed = gate();
  const running = pool.run({ do: 'wait-for', gate: closed });
  const idle = await pool.run({ do: 'thread' });
  const closing = pool.close();
  const next = pool.run({ do: 'thread' });
  await closing;
  assert.notEqual(await next, idle);
  open(closed);
  assert.equal(typeof (await running), 'number');
});

test('an entry that cannot be loaded fails the task', async (t) => {
  const pool = new WorkerPool(new URL('./no-such-entry.js', import.meta.url), { name: 'test', size: 1 });
  t.after(() => pool.close());
  await assert.rejects(pool.run({}), { code: 'ERR_INTERNAL' });
});

test('what the system refuses a worker that starts is told as such', async (t) => {
  const thrown = `Object.assign(new Error("EMFILE: too many open files, open 'entry'"), { code: 'EMFILE', syscall: 'open' })`;
  const entry = new URL(`data:text/javascript,throw ${encodeURIComponent(thrown)}`);
  const pool = new WorkerPool(entry, { name: 'test', size: 1 });
  t.after(() => pool.close());
  await assert.rejects(pool.run({}), {
    code: 'ERR_FILESYSTEM',
    message: "worker test: EMFILE: too many open files, open 'entry'; allow more open files (ulimit -n)",
  });
});

test('what the system refuses a worker before its first line is told as such, by whatever Node names it', async (t) => {
  const thrown = `Object.assign(new Error('Worker initialization failure: EMFILE'), { code: 'ERR_WORKER_INIT_FAILED' })`;
  const pool = new WorkerPool(new URL(`data:text/javascript,throw ${encodeURIComponent(thrown)}`), {
    name: 'test',
    size: 1,
  });
  t.after(() => pool.close());
  await assert.rejects(pool.run({}), {
    code: 'ERR_FILESYSTEM',
    message: 'worker test: Worker initialization failure: EMFILE; allow more open files (ulimit -n)',
    detail: { subject: 'worker test', errno: 'EMFILE' },
  });
});

test('in a working directory that is gone, a worker that cannot start says what to do', (t) => {
  const gone = join(tempDir(t), 'gone');
  mkdirSync(gone);
  const words = ['flatten', '--no-store', '-q', `oci:${join(REPOSITORY, 'fixtures/hello')}`];
  const script = 'cd "$1" && rmdir "$1" && shift && exec "$@"';
  const run = spawnSync('sh', ['-c', script, 'sh', gone, process.execPath, ROOTFS_BIN, ...words], { encoding: 'utf8' });
  assert.match(
    run.stderr,
    /^rootfs: worker [\w-]+: ENOENT: .*uv_cwd; change into a folder that is there \[ERR_FILESYSTEM\]$/m,
  );
});

test('idle workers do not keep a process alive', () => {
  const pool = fileURLToPath(new URL('../../src/io/worker-pool.js', import.meta.url));
  const script = `
    import { WorkerPool } from ${JSON.stringify(pool)};
    const pool = new WorkerPool(new URL(${JSON.stringify(ENTRY.href)}), { name: 'test', size: 2 });
    pool.warm(2);
    console.log(typeof (await pool.run({ do: 'thread' })));
  `;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(run.stdout, 'number\n', run.stderr);
  assert.equal(run.status, 0);
});

/** What a one-liner prints that runs a task in a pool, in a Node that is started with these flags. */
function runInPool(...flags: readonly string[]): string {
  const pool = fileURLToPath(new URL('../../src/io/worker-pool.js', import.meta.url));
  const script = `
    import { WorkerPool } from ${JSON.stringify(pool)};
    const pool = new WorkerPool(new URL(${JSON.stringify(ENTRY.href)}), { name: 'test', size: 2 });
    const told = ({ code, message }) => \`\${code} \${message}\`;
    try { pool.warm(1); } catch (error) { console.log(told(error)); }
    const tasks = [pool.run({ do: 'thread' }), pool.run({ do: 'thread' })];
    for (const { reason } of await Promise.allSettled(tasks)) console.log(reason === undefined ? 'done' : told(reason));
    console.log(pool.idle);
  `;
  const args = [...flags, '--input-type=module', '-e', script];
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout;
}

test('where Node may start no worker, every task fails with a code, and none waits', () => {
  assert.equal(runInPool(), 'done\ndone\n2\n');
  const flag = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission';
  const lines = runInPool(flag, '--allow-fs-read=*', '--allow-fs-write=*').split('\n');
  assert.equal(lines.length, 5);
  for (const line of lines.slice(0, 3)) {
    assert.match(line, /^ERR_PERMISSION worker test: .*[^.]; Node was started with --permission; start it without$/);
  }
  assert.equal(lines[3], '2');
});
