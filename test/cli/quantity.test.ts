import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatCount, formatSize, parseDuration, parseSize } from '../../src/cli/quantity.js';
import { image, writeLayout } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('sizes take decimal and binary units', () => {
  const cases: readonly [string, number][] = [
    ['0', 0],
    ['1048576', 1_048_576],
    ['10GiB', 10 * 1024 ** 3],
    ['512MB', 512e6],
    ['1.5k', 1500],
    ['64 MiB', 64 * 1024 ** 2],
    ['2t', 2e12],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize('max-layer-size', text), bytes, text);
});

test('durations need a unit', () => {
  const cases: readonly [string, number][] = [
    ['30s', 30_000],
    ['500ms', 500],
    ['5m', 300_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration('timeout', text), ms, text);
});

test('what is not understood is named with its option', () => {
  for (const text of ['', 'ten', '-1', '10XB', '1e99', '9'.repeat(400), undefined]) {
    assert.throws(() => parseSize('max-layer-size', text), {
      code: 'ERR_OPTION_INVALID',
      message: /^--max-layer-size: /,
    });
  }
  for (const text of ['', '30', 's', '5 parsecs', '-3s']) {
    assert.throws(() => parseDuration('timeout', text), { code: 'ERR_OPTION_INVALID', message: /^--timeout: / });
  }
});

test('sizes read well', () => {
  const cases: readonly [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [9_300_000, '9.3 MB'],
    [99_950_000, '100 MB'],
    [1_349_000_000, '1.3 GB'],
  ];
  for (const [bytes, shown] of cases) assert.equal(formatSize(bytes), shown);
});

test('of one thing there is one, in summaries too', async (t) => {
  assert.deepEqual(
    [0, 1, 2].map((count) => formatCount(count, 'blob')),
    ['0 blobs', '1 blob', '2 blobs'],
  );
  assert.equal(formatCount(2, 'entry', 'entries'), '2 entries');
  const folder = tempDir(t);
  const two = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  await writeLayout(join(folder, 'layout'), { v1: image().build(), two });
  const env = { XDG_CACHE_HOME: join(folder, 'cache') };
  const told = async (...words: string[]): Promise<string> => {
    const { code, stderr } = await runRootfs(words, { cwd: folder, env });
    assert.equal(code, 0, stderr);
    return stderr;
  };
  assert.match(await told('copy', 'oci:layout:v1', 'oci:other:v1'), /: 1 blob copied \(/);
  assert.match(await told('pull', 'oci:layout:two', '-o', 'x.tar'), /: 2 blobs copied \(/);
  assert.match(await told('validate', 'oci:layout:v1'), /1 manifest and 1 blob \(/);
});
