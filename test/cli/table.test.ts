/** Tables for people, of what an image says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { table } from '../../src/cli/table.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { ROOTFS_BIN } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('columns are as wide as they must be, and no line ends in blanks', () => {
  const rows = [
    ['NAME', 'SIZE', 'TAGS'],
    ['a', '1000', 'v1'],
    ['long-name', '7', ''],
    ['b\u001b[2J', '12', 'latest and more'],
  ];
  assert.equal(
    table(rows, [1]),
    'NAME       SIZE  TAGS\na          1000  v1\nlong-name     7\nb?[2J        12  latest and more\n',
  );
  assert.equal(
    table(
      [
        ['a', '1'],
        ['b', '100'],
      ],
      [1],
    ),
    'a    1\nb  100\n',
  );
  assert.equal(table([]), '');
});

test('one long label among many makes no other line long', async (t) => {
  const folder = tempDir(t);
  const labels = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`key-${at}`, 'value']));
  const config = { Labels: { long: 'x'.repeat(1_000_000), ...labels } };
  await writeLayout(join(folder, 'layout'), { latest: image().config(config).build() });
  const args = ['--max-old-space-size=128', ROOTFS_BIN, 'inspect', '-q', '--platform', 'linux/amd64'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, `oci:${join(folder, 'layout')}`], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr.slice(0, 1000));
  assert.equal(stdout.match(/^Label .*$/gm)?.length, 20_001);
});
