/** `rootfs tags`, `instances` and `referrers` on local sources. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, writeLayout } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('a name is one line that no terminal obeys; as JSON it is what it is', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { v1: image().build(), 'v-2': image().config({ User: 'x' }).build() });
  const path = join(folder, 'index.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"v1"', JSON.stringify('\u001b[31mred\nv3')));
  const lines = await runRootfs(['tags', `oci:${folder}`]);
  assert.deepEqual(lines.stdout.toString().split('\n').sort(), ['', '\\x1b[31mred\\x0av3', 'v-2']);
  const list = await runRootfs(['tags', '--json', `oci:${folder}`]);
  assert.deepEqual(JSON.parse(list.stdout.toString()).sort(), ['\u001b[31mred\nv3', 'v-2']);
});

test('forms that hold one image have no tags and no referrers: an empty list, and an image that is there', async (t) => {
  const folder = tempDir(t);
  const built = image().build();
  await writeLayout(join(folder, 'layout'), { v1: built });
  const dir = join(folder, 'dir');
  assert.equal((await runRootfs(['copy', '-q', `oci:${folder}/layout:v1`, `dir:${dir}`])).code, 0);
  const archive = join(folder, 'image.tar');
  assert.equal((await runRootfs(['pull', '-q', `oci:${folder}/layout:v1`, '-o', archive])).code, 0);
  const { digest } = built.descriptor;
  for (const words of [
    ['tags', `dir:${dir}`],
    ['referrers', `dir:${dir}`],
    ['referrers', `docker-archive:${archive}`],
  ]) {
    assert.deepEqual(await runRootfs(words), { code: 0, stdout: Buffer.alloc(0), stderr: '' });
    const json = await runRootfs([...words, '--json']);
    assert.deepEqual([json.code, json.stdout.toString()], [0, '[]\n']);
  }
  for (const source of [`dir:${dir}`, `docker-archive:${archive}`, `oci:${folder}/layout`]) {
    const listed = await runRootfs(['instances', '--json', source]);
    assert.deepEqual(
      JSON.parse(listed.stdout.toString()).map((one: { digest: string; tags: string[] }) => [one.digest, one.tags]),
      [[digest, source.startsWith('oci:') ? ['v1'] : []]],
      listed.stderr,
    );
  }
  const absent = `sha256:${'0'.repeat(64)}`;
  for (const words of [
    ['referrers', `oci:${folder}/layout@${absent}`],
    ['tags', `dir:${dir}@${absent}`],
  ]) {
    const { code, stderr } = await runRootfs(words);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /ERR_NOT_FOUND/);
  }
});
