/** What dead processes left is removed, and nothing else: who may write beside it leads nobody elsewhere. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeWorkingFolder, outputPlace, writeBeside } from '../../src/content/output-place.js';
import { RootfsError } from '../../src/errors.js';
import { canPinDirectories } from '../../src/io/directory.js';
import { processMark } from '../../src/io/process-mark.js';
import { tempDir } from '../support/temp-dir.js';

/** Leftovers that are removed while the other process is at it; going by paths, the first few are enough to lose. */
const ROUNDS = 8;

/** As of a process that is no more: numbers end at 2^22. */
function leftoverName(at: number): string {
  return `.rootfs-kit-${processMark().split('-')[0]}-9999999-1-left${at}`;
}

test('leftovers are removed while their folders are swapped for links: nothing outside goes', {
  skip: canPinDirectories() ? false : 'directories cannot be pinned here',
}, async (t) => {
  const folder = tempDir(t, 'swap');
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  const names = Array.from({ length: 20 }, (_, at) => `file${at}`);
  for (const name of names) writeFileSync(join(outside, name), 'theirs');
  const prepared = join(folder, 'prepared');
  const swapper = fileURLToPath(new URL('../support/swapper.js', import.meta.url));
  const child = spawn(process.execPath, [swapper, folder, outside]);
  t.after(() => child.kill());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, 'ready');
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let at = 0; at < 8; at += 1) {
      mkdirSync(join(prepared, `d${at}`), { recursive: true });
      for (const name of names) writeFileSync(join(prepared, `d${at}`, name), 'ours');
    }
    renameSync(prepared, join(folder, leftoverName(round)));
    await (await makeWorkingFolder(folder)).remove();
    assert.deepEqual(readdirSync(outside).sort(), [...names].sort(), `round ${round}`);
  }
  child.stdin.write('stop\n');
  const swaps = Number((await lines.next()).value);
  assert.ok(swaps >= ROUNDS, `only ${swaps} swaps`);
});

test('what a dead process left is gone, also where nobody may look into it', async (t) => {
  const folder = tempDir(t);
  const leftover = join(folder, leftoverName(0));
  mkdirSync(join(leftover, 'closed'), { recursive: true });
  writeFileSync(join(leftover, 'closed', 'file'), 'x');
  mkdirSync(join(folder, '.rootfs-kit-somebody'));
  await (await makeWorkingFolder(folder)).remove();
  assert.equal(existsSync(leftover), false);
  assert.deepEqual(readdirSync(folder), ['.rootfs-kit-somebody']);
});

test("where the system's temporary folder is not to be had, the error says which variable moves it", async (t) => {
  const before = process.env['TMPDIR'];
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const gone = join(tempDir(t), 'gone');
  process.env['TMPDIR'] = gone;
  await assert.rejects(makeWorkingFolder(), { message: /; set TMPDIR to a folder that can be written$/ });
  await assert.rejects(makeWorkingFolder(gone), { message: /^(?!.*TMPDIR)/ });
});

test('the file that a link names is written, there or not yet, and the link stays', async (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'far'));
  symlinkSync('far/second', join(folder, 'link'));
  symlinkSync('file', join(folder, 'far', 'second'));
  for (const text of ['new', 'again']) {
    const place = await outputPlace(join(folder, 'link'));
    assert.deepEqual(place, { kind: 'file', path: join(realpathSync(folder), 'far', 'file') });
    await writeBeside(place.path, 'file', false, async (temporary) => writeFileSync(temporary, text));
    assert.equal(readFileSync(join(folder, 'link'), 'utf8'), text);
    assert.ok(lstatSync(join(folder, 'far', 'second')).isSymbolicLink());
  }
  symlinkSync('none/file', join(folder, 'lost'));
  await assert.rejects(outputPlace(join(folder, 'lost')), { code: 'ERR_NOT_FOUND' });
  symlinkSync('circle', join(folder, 'circle'));
  await assert.rejects(outputPlace(join(folder, 'circle')), { code: 'ERR_FILESYSTEM' });
});

test('an error names the place asked for, whatever signs its path has', async (t) => {
  for (const name of ['plain', 'a$&b', 'a"b', 'a\\b']) {
    const folder = join(tempDir(t), name);
    mkdirSync(folder);
    const path = join(folder, name);
    const failing = async (temporary: string): Promise<void> => {
      throw new RootfsError('ERR_NO_SPACE', `${temporary}: full`, { detail: { path: temporary } });
    };
    await assert.rejects(writeBeside(path, 'file', false, failing), { message: `${path}: full`, detail: { path } });
  }
});
