/** `prepareRootfs` where many ask at once: one writes, the others get what it wrote. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FORMS, prepareRootfs } from '../src/index.js';
import { REPOSITORY } from './support/rootfs.js';
import { tempDir } from './support/temp-dir.js';

const IMAGE = `oci:${join(REPOSITORY, 'fixtures/hello')}`;
const LINUX = process.platform === 'linux' ? false : 'some forms are Linux';

for (const { name: form } of FORMS) {
  test(`eight at once get the same ${form}, written once`, { skip: LINUX }, async (t) => {
    const store = tempDir(t);
    const prepared = await Promise.all(
      Array.from({ length: 8 }, () => prepareRootfs(IMAGE, { store, form, platform: 'linux/amd64' })),
    );
    assert.equal(new Set(prepared.map(({ path }) => path)).size, 1);
    assert.equal(prepared.filter(({ reused }) => !reused).length, 1);
    const left = readdirSync(join(store, form)).filter((name) => !name.endsWith('.ownership'));
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
