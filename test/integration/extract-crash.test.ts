/** The command killed at random moments, on a full disk, interrupted: the store never lies, and the next run succeeds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry } from '../../src/testing/testing.js';
import { layerNames, wrongLayers } from '../support/layer-files.js';
import { rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const ROUNDS = Number(process.env['ROOTFS_KILL_ROUNDS'] ?? 50);

/** Numbers in [0, 1) that are the same on every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function noise(seed: number, bytes: number): Buffer {
  const next = seeded(seed);
  const content = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at += 1) content[at] = Math.floor(next() * 97);
  return content;
}

const built = image()
  .layer((layer) => layer.file('a', noise(1, 3_000_000)))
  .layer((layer) => layer.file('b', noise(2, 1_200_000)))
  .layer((layer) => layer.file('c', noise(3, 200_000)))
  .layer((layer) => layer.file('d', 'small'))
  .build();
const names = built.layers.map(({ diffId }) => diffId.slice(7)).sort();

test(`killed ${ROUNDS} times at random moments`, async (t) => {
  await using registry = await startRegistry();
  registry.add('crash', 'latest', built);
  const dst = join(tempDir(t), 'dst');
  mkdirSync(dst);
  const next = seeded(7);
  let killed = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    // Every few rounds from scratch, so that the kills strike every stage.
    const place = round % 5 === 0 ? join(dst, String(round)) : join(dst, String(round - (round % 5)));
    const done = await rootfs(['extract', '-q', '--dst', place, `${registry.host}/crash`], {
      started: (child) => {
        setTimeout(() => child.kill('SIGKILL'), 100 + next() * 500);
      },
    });
    if (done.code === null) killed += 1;
    assert.deepEqual(wrongLayers(place), [], `after round ${round}`);
    if (round % 5 === 4) {
      const last = await rootfs(['extract', '-q', '--dst', place, `${registry.host}/crash`]);
      assert.equal(last.code, 0, last.stderr);
      assert.deepEqual(layerNames(place), names);
      assert.deepEqual(wrongLayers(place), []);
    }
  }
  assert.ok(killed > 0, 'no run was killed before its end');
});

test('Ctrl-C ends within a second, with 130, and leaves only what the next run goes on from', async (t) => {
  await using registry = await startRegistry();
  registry.add('slow', 'latest', built);
  registry.fault({ on: 'blob', do: 'slow', bytesPerSecond: 100_000 });
  const dst = join(tempDir(t), 'dst');
  let interruptedAt = 0;
  const done = await rootfs(['extract', '--dst', dst, `${registry.host}/slow`], {
    started: (child) => {
      void registry.log
        .until((log) => log.bytesSent > 50_000)
        .then(() => {
          interruptedAt = Date.now();
          child.kill('SIGINT');
        });
    },
  });
  assert.equal(done.code, 130, done.stderr);
  assert.ok(Date.now() - interruptedAt < 5000, 'it ended long before the transfer would have');
  assert.match(done.stderr, /interrupted/);
  assert.deepEqual(wrongLayers(dst), []);
  registry.clearFaults();
  const again = await rootfs(['extract', '-q', '--dst', dst, `${registry.host}/slow`]);
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(layerNames(dst), names);
});

test('a full disk is a clear error and nothing half-made', {
  skip: process.getuid?.() === 0 ? false : 'mounting a small tmpfs needs root',
}, async (t) => {
  const disk = join(tempDir(t), 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  try {
    await using registry = await startRegistry();
    registry.add('big', 'latest', built);
    const dst = join(disk, 'dst');
    const done = await rootfs(['extract', '-q', '--dst', dst, `${registry.host}/big`]);
    assert.equal(done.code, 1, done.stderr);
    assert.match(done.stderr, /ERR_NO_SPACE/);
    assert.match(done.stderr, /free some space/);
    assert.deepEqual(wrongLayers(dst), []);
  } finally {
    execFileSync('umount', [disk]);
  }
});
