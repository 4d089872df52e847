import assert from 'node:assert/strict';
import fs, {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fillFolder } from '../../src/content/fill-folder.js';
import { tempDir } from '../support/temp-dir.js';

const OPTIONS = { sync: true, last: 'manifest.json' };

async function two(folder: string): Promise<void> {
  writeFileSync(join(folder, 'manifest.json'), 'last');
  mkdirSync(join(folder, 'version'));
}

test('a new folder appears when it is whole', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'new');
  await fillFolder(path, OPTIONS, async (at) => {
    await two(at);
    assert.ok(!readdirSync(folder).includes('new'));
  });
  assert.deepEqual(readdirSync(folder), ['new']);
  assert.deepEqual(readdirSync(path).sort(), ['manifest.json', 'version']);
});

test('the names in a new folder are brought to disk before it has its own, where that is asked', async (t) => {
  const opened: string[] = [];
  const original = fs.openSync;
  fs.openSync = (...given) => {
    opened.push(String(given[0]));
    return original(...given);
  };
  syncBuiltinESMExports();
  t.after(() => {
    fs.openSync = original;
    syncBuiltinESMExports();
  });
  const folder = realpathSync(tempDir(t));
  let made = '';
  await fillFolder(join(folder, 'new'), OPTIONS, async (at) => {
    made = at;
    await two(at);
  });
  assert.deepEqual(
    opened.filter((path) => path.startsWith(folder)),
    [made, folder],
  );
  opened.length = 0;
  await fillFolder(join(folder, 'other'), { ...OPTIONS, sync: false }, two);
  assert.deepEqual(
    opened.filter((path) => path.startsWith(folder)),
    [],
  );
});

test('an empty folder that is there stays the same one, with its mode, also behind a link', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'there');
  mkdirSync(path);
  chmodSync(path, 0o2750);
  symlinkSync('there', join(folder, 'link'));
  const before = statSync(path);
  await fillFolder(join(folder, 'link'), OPTIONS, two);
  const after = statSync(path);
  assert.deepEqual([after.ino, after.mode], [before.ino, before.mode]);
  assert.deepEqual(readdirSync(path).sort(), ['manifest.json', 'version']);
  assert.equal(readFileSync(join(path, 'manifest.json'), 'utf8'), 'last');
});

test('what is there already is left as it is', async (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'full'));
  writeFileSync(join(folder, 'full/mine'), 'x');
  writeFileSync(join(folder, 'file'), 'x');
  for (const name of ['full', 'file']) {
    await assert.rejects(fillFolder(join(folder, name), OPTIONS, two), {
      code: 'ERR_FILESYSTEM',
      message: /there already/,
    });
  }
  await assert.rejects(fillFolder(join(folder, 'none/x'), OPTIONS, two), {
    code: 'ERR_NOT_FOUND',
    message: /make it first/,
  });
  assert.deepEqual(readdirSync(folder).sort(), ['file', 'full']);
  assert.deepEqual(readdirSync(join(folder, 'full')), ['mine']);
});

test('a failure leaves nothing, and comes as it is', async (t) => {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'there'));
  const reason = new Error('enough');
  for (const name of ['there', 'new']) {
    const failing = fillFolder(join(folder, name), OPTIONS, async (at) => {
      await two(at);
      throw reason;
    });
    await assert.rejects(failing, (error) => error === reason);
  }
  assert.deepEqual(readdirSync(folder), ['there']);
  assert.deepEqual(readdirSync(join(folder, 'there')), []);
});

test('of two that fill one folder the first one does, and the other is told why not', async (t) => {
  const path = tempDir(t);
  const late = async (): Promise<void> => fillFolder(path, OPTIONS, () => assert.fail('it has nothing to do here'));
  const refused = { code: 'ERR_FILESYSTEM', message: /: another process is filling it, .*; wait for its end, or name/ };
  await fillFolder(path, OPTIONS, async (at) => {
    await assert.rejects(late(), refused);
    await two(at);
    // One that has not given up yet when the first one is done.
    mkdirSync(join(path, basename(at).replace(/[^-]*$/, 'late')));
  });
  rmdirSync(join(path, String(readdirSync(path).find((name) => name.endsWith('late')))));
  assert.deepEqual(readdirSync(path).sort(), ['manifest.json', 'version']);
  await assert.rejects(late(), { message: /something is there already/ });
});

test('what somebody puts there meanwhile is neither replaced nor removed', async (t) => {
  const folder = tempDir(t);
  for (const name of ['manifest.json', 'version', 'other']) {
    const path = join(folder, name);
    mkdirSync(path);
    const failing = fillFolder(path, OPTIONS, async (at) => {
      await two(at);
      mkdirSync(join(path, name));
      writeFileSync(join(path, name, 'mine'), 'x');
    });
    await assert.rejects(failing, { code: 'ERR_FILESYSTEM', message: /something is there already/ });
    assert.deepEqual(readdirSync(path), [name]);
    assert.deepEqual(readdirSync(join(path, name)), ['mine']);
  }
});
