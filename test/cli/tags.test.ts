/** `rootfs tags` on a layout whose names nobody checked. */
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
