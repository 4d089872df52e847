import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs, { lstatSync, lutimesSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { removeIfDead, tryLock, withLock } from '../../src/io/lock.js';
import { isMarkAlive, isThreadAlive, processMark, threadMark } from '../../src/io/process-mark.js';
import type { ProgressEvent } from '../../src/progress.js';
import { doomedThread } from '../support/doomed-thread.js';
import { tempDir } from '../support/temp-dir.js';

const NOBODY = processMark().replace(/-\d+-\d+$/, '-4194303-77');

test('one holds it, the next one gets it afterwards; giving it back twice does nothing', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const release = await tryLock(path);
  assert.ok(release);
  assert.equal(await tryLock(path), undefined);
  await release();
  const next = await tryLock(path);
  assert.ok(next);
  await release();
  assert.equal(await tryLock(path), undefined, 'it stays with its new holder');
  await next();
  assert.deepEqual(readdirSync(dirname(path)), []);
});

test('a lock that could not be removed when it was given back is not waited for by who held it', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const release = await tryLock(path);
  const unlink = t.mock.method(fs, 'unlinkSync', () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  });
  syncBuiltinESMExports();
  await release?.();
  unlink.mock.restore();
  syncBuiltinESMExports();
  assert.deepEqual(readdirSync(dirname(path)), ['x.lock']);
  assert.equal(await withLock(path, async () => 'done', { signal: AbortSignal.timeout(5_000) }), 'done');
  assert.deepEqual(readdirSync(dirname(path)), []);
});

test('a guard that could not be removed after a takeover is not waited for by who made it', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  writeFileSync(path, `${NOBODY} 00`);
  const before = fsPromises.unlink;
  const unlink = t.mock.method(fsPromises, 'unlink', (name: string) =>
    name.endsWith('.takeover')
      ? Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))
      : before(name),
  );
  syncBuiltinESMExports();
  assert.ok(await removeIfDead(path));
  unlink.mock.restore();
  syncBuiltinESMExports();
  writeFileSync(path, `${NOBODY} 01`);
  assert.equal(await withLock(path, async () => 'done', { signal: AbortSignal.timeout(5_000) }), 'done');
  assert.deepEqual(readdirSync(dirname(path)), []);
});

test('what is no list of options is refused before the lock is taken', async (t) => {
  const path = join(tempDir(t), 'lock');
  await assert.rejects(withLock(path, async () => {}, null as never));
  assert.equal(await withLock(path, async () => 'done', { signal: AbortSignal.timeout(5_000) }), 'done');
});

test('many wait for their turn, one works at a time', async (t) => {
  const folder = tempDir(t);
  let inside = 0;
  let turns = 0;
  const work = async (): Promise<void> => {
    assert.equal(++inside, 1);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
    turns++;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLock(join(folder, 'x.lock'), work)));
  assert.equal(turns, 8);
  assert.deepEqual(readdirSync(folder), []);
});

test("a dead holder's lock is taken over at once, by one of many", async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'x.lock');
  for (let round = 0; round < 50; round++) {
    if (round % 2 === 0) symlinkSync(`${NOBODY} 00`, path);
    else writeFileSync(path, `${NOBODY} 00`);
    const all = await Promise.all(Array.from({ length: 12 }, () => tryLock(path)));
    const got = all.filter((release) => release !== undefined);
    assert.equal(got.length, 1);
    await got[0]?.();
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('a long wait is told once, with the process that is waited for', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const release = await tryLock(path);
  const told: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent): void => void told.push(event);
  const waiting = withLock(path, async () => 'done', { onProgress, longWaitMs: 50 });
  await new Promise((resolve) => setTimeout(resolve, 250));
  await release?.();
  assert.equal(await waiting, 'done');
  const message = `${path}: process ${process.pid} holds this lock; waiting until it is done`;
  assert.deepEqual(told, [{ type: 'warning:raised', message }]);
  await withLock(path, async () => {}, { onProgress, longWaitMs: 50 });
  assert.equal(told.length, 1);
});

test('what is left of a takeover whose lock is gone already goes with the next lock, and of a living one stays', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'x.lock');
  writeFileSync(`${path}.takeover`, NOBODY);
  const release = await tryLock(path);
  assert.deepEqual(readdirSync(folder), ['x.lock']);
  await release?.();
  writeFileSync(`${path}.takeover`, processMark());
  await (await tryLock(path))?.();
  assert.deepEqual(readdirSync(folder), ['x.lock.takeover']);
});

test("a process that died while it took a lock over is in nobody's way", async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'x.lock');
  writeFileSync(path, `${NOBODY} 00`);
  writeFileSync(`${path}.takeover`, NOBODY);
  await withLock(path, async () => {});
  assert.deepEqual(readdirSync(folder), []);
});

test('what is left of a dead takeover is not removed once another one has begun', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const guard = `${path}.takeover`;
  writeFileSync(path, `${NOBODY} 00`);
  writeFileSync(guard, `${NOBODY} 01`);
  const module = new URL('../../src/io/lock.js', import.meta.url).href;
  // Its only thread for such work is busy: what it is about to remove it removes a good while after it has looked.
  const script = `
    import { pbkdf2 } from 'node:crypto';
    const { tryLock } = await import(${JSON.stringify(module)});
    pbkdf2('a', 'b', 2_000_000, 64, 'sha512', () => {});
    const trying = tryLock(${JSON.stringify(path)});
    setImmediate(() => console.log('looked'));
    await trying;`;
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  while (!(await removeIfDead(guard))) await sleep(10);
  symlinkSync(`${processMark()} ${threadMark()} 02`, guard);
  await ended;
  assert.ok(lstatSync(guard, { throwIfNoEntry: false }), 'it is the one of this process');
});

test('a thread that is terminated loses its locks while its process lives', async (t) => {
  if (threadMark() === '') return t.skip('the system does not tell of threads');
  const path = join(tempDir(t), 'x.lock');
  const thread = await doomedThread(
    `const { tryLock } = await import(${JSON.stringify(new URL('../../src/io/lock.js', import.meta.url).href)});
     await tryLock(${JSON.stringify(path)});`,
  );
  assert.equal(await tryLock(path), undefined, 'it lives');
  await thread.terminate();
  await withLock(path, async () => {}, { signal: AbortSignal.timeout(5000) });
  assert.deepEqual(readdirSync(dirname(path)), []);
});

test('where nothing is known of its thread, a holder in a living process may be silent for five minutes', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  writeFileSync(path, `${processMark()} 00`);
  const silent = (seconds: number): void => {
    const moment = new Date(Date.now() - seconds * 1000);
    utimesSync(path, moment, moment);
  };
  silent(270);
  assert.equal(await tryLock(path), undefined, 'it may work without a pause');
  silent(330);
  assert.ok(await tryLock(path));
});

test('a thread that is known to live keeps its lock, however silent it is', async (t) => {
  if (threadMark() === '') return t.skip('the system does not tell of threads');
  const path = join(tempDir(t), 'x.lock');
  writeFileSync(path, `${processMark()} ${threadMark()} 00`);
  utimesSync(path, 1, 1);
  assert.equal(await tryLock(path), undefined);
});

test('a lock of another machine is respected until it is silent for a minute', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  writeFileSync(path, '00000000-1-1 00');
  assert.equal(await tryLock(path), undefined);
  utimesSync(path, new Date(Date.now() - 90_000), new Date(Date.now() - 90_000));
  assert.ok(await tryLock(path));
});

test('a lock of another machine with a clock ahead is not waited for until then', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  symlinkSync('00000000-1-1 00', path);
  const ahead = new Date(Date.now() + 365 * 86_400_000);
  lutimesSync(path, ahead, ahead);
  assert.equal(await tryLock(path), undefined);
  assert.ok(lstatSync(path).mtimeMs <= Date.now(), 'its silence counts from now on');
  lutimesSync(path, new Date(Date.now() - 90_000), new Date(Date.now() - 90_000));
  assert.ok(await tryLock(path));
});

test('a file that is no lock counts as one until it is old', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  writeFileSync(path, '');
  assert.equal(await tryLock(path), undefined);
  utimesSync(path, 1, 1);
  assert.ok(await tryLock(path));
});

test("waiting ends with the caller's own reason", async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const release = await tryLock(path);
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = withLock(path, async () => assert.fail('never held'), { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  await release?.();
});

test('what the work throws comes out, and the lock is given back', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  await assert.rejects(
    withLock(path, async () => Promise.reject(new Error('mine'))),
    /mine/,
  );
  assert.deepEqual(readdirSync(dirname(path)), []);
});

test('a folder that is not there is said', async (t) => {
  await assert.rejects(tryLock(join(tempDir(t), 'missing', 'x.lock')), { code: 'ERR_FILESYSTEM' });
});

test('marks: this process lives, one that ended does not, another machine is unknown', async () => {
  assert.equal(isMarkAlive(processMark()), true);
  assert.equal(isMarkAlive(NOBODY), false);
  assert.equal(isMarkAlive('00000000-1-1'), undefined);
  assert.equal(isMarkAlive('nonsense'), undefined);
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()']);
  const mark = processMark().replace(/-\d+-\d+$/, `-${child.pid}-0`);
  assert.equal(isMarkAlive(mark), true);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  assert.equal(isMarkAlive(mark), false);
});

test('a process that ended lives no more, also where its parent never asks for it', async (t) => {
  if (process.platform !== 'linux') return t.skip('only /proc tells');
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => parent.kill('SIGKILL'));
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(String(line));
  // Until then it is a shell, which does ask.
  while (readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await sleep(5);
  const mark = processMark().replace(/-\d+-\d+$/, `-${pid}-0`);
  assert.equal(isMarkAlive(mark), true);
  // As long as it is a shell, it may ask.
  while (readFileSync(`/proc/${parent.pid}/comm`, 'utf8') !== 'sleep\n') await sleep(5);
  process.kill(pid, 'SIGKILL');
  while (!readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) await sleep(5);
  assert.equal(isMarkAlive(mark), false);
  assert.equal(isThreadAlive(mark, `${pid}-${readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21]}`), false);
});

test('threads: this one lives, one that is not there does not; without numbers nothing is known', (t) => {
  assert.equal(isThreadAlive(processMark(), ''), undefined);
  assert.equal(isThreadAlive('nonsense', threadMark()), undefined);
  if (threadMark() === '') return t.skip('the system does not tell of threads');
  assert.equal(isThreadAlive(processMark(), threadMark()), true);
  assert.equal(isThreadAlive(processMark(), '4194303-77'), false);
  assert.equal(isThreadAlive(processMark(), `${threadMark()}7`), false, 'its number was given to another one');
  assert.equal(isThreadAlive(NOBODY, threadMark()), undefined);
});

test("a number that was given to another process is not its former owner's life", () => {
  if (process.platform !== 'linux') return;
  const mark = processMark();
  assert.equal(isMarkAlive(mark.replace(/\d+$/, (start) => String(Number(start) - 1))), false);
});

test('a lock is waited for by the real clock, also where tests have put a fake one in its place', async (t) => {
  const path = join(tempDir(t), 'x.lock');
  const release = await tryLock(path);
  assert.ok(release !== undefined);
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const waiting = withLock(path, async () => 'mine');
  await new Promise((turn) => setImmediate(turn));
  await release();
  assert.equal(await waiting, 'mine');
});

test('a pipe in the place of a lock holds nobody up', (t) => {
  const path = join(tempDir(t), 'lock');
  execFileSync('mkfifo', [path]);
  const module = fileURLToPath(new URL('../../src/io/lock.js', import.meta.url));
  const script = `const { tryLock } = await import(${JSON.stringify(module)}); console.log(await tryLock(${JSON.stringify(path)}));`;
  const options = { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' } as const;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], options);
  assert.equal(stdout, 'undefined\n');
});
