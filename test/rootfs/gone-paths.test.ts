/** What whiteouts take away, asked by path: as the plain reading has it, and quickly for deep paths. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GonePaths } from '../../src/rootfs/gone-paths.js';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import type { PlannedWhiteout } from '../../src/rootfs/merge-plan.js';
import { file, layerTars } from '../support/layer-tars.js';
import { Random } from '../support/random-layers.js';
import { pax } from '../support/raw-tar.js';

/** The same question answered one whiteout after the other. */
function isGone(whiteouts: readonly PlannedWhiteout[], path: readonly string[], index = Number.POSITIVE_INFINITY) {
  return whiteouts.some(({ directory, name, after }) => {
    const taken = [...directory.split('/'), name ?? ''].filter((part) => part !== '');
    const below = name === undefined ? path.length > taken.length : path.length >= taken.length;
    return after <= index && below && taken.every((part, at) => part === path[at]);
  });
}

test('paths are gone as the plain reading says', () => {
  const random = new Random(31);
  const path = (): string[] => Array.from({ length: random.below(4) }, () => random.pick(['a', 'b', 'ab', 'c']));
  let gone = 0;
  for (let round = 0; round < 2_000; round += 1) {
    const whiteouts = Array.from({ length: random.below(5) }, (): PlannedWhiteout => {
      const name = random.below(3) === 0 ? undefined : random.pick(['a', 'b', 'ab']);
      return { directory: path().join('/'), name, after: random.below(3) };
    });
    const table = new GonePaths(whiteouts);
    for (let question = 0; question < 5; question += 1) {
      const asked = path();
      const index = random.below(4);
      assert.equal(table.has(asked), isGone(whiteouts, asked), JSON.stringify({ whiteouts, asked }));
      assert.equal(
        table.has(asked, index),
        isGone(whiteouts, asked, index),
        JSON.stringify({ whiteouts, asked, index }),
      );
      gone += table.has(asked) ? 1 : 0;
    }
    for (const whiteout of whiteouts) {
      const { directory, name } = whiteout;
      const covered = whiteouts.some((one) => one.name === undefined && one.directory === directory);
      const expected =
        !isGone(whiteouts, directory === '' ? [] : directory.split('/')) && (name === undefined || !covered);
      assert.equal(table.isEffective(whiteout), expected, JSON.stringify({ whiteouts, whiteout }));
    }
  }
  assert.ok(gone > 1_000 && gone < 9_000, `${gone} of 10,000 are gone`);
});

test('many whiteouts deep below are soon read, and an abort is heard among them', async (t) => {
  const deep = 'a/'.repeat(200);
  const long = (path: string): Buffer => Buffer.concat([pax([['path', path]]), file('x')]);
  const names = Array.from({ length: 20_000 }, (_, index) => `f${index}`);
  const layers = layerTars(
    t,
    [long(`${deep}f7`), long(`${deep}kept`)],
    names.map((name) => long(`${deep}.wh.${name}`)),
  );
  const seen: number[] = [];
  for await (const { whiteouts } of readLayerChanges(layers))
    seen.push([...whiteouts.values()].flatMap((one) => [...one]).length);
  assert.deepEqual(seen, [0, 1]);
  const reason = new Error('enough');
  const controller = new AbortController();
  await assert.rejects(async () => {
    for await (const { layer } of readLayerChanges(layers, { signal: controller.signal })) {
      if (layer === 0) setTimeout(() => controller.abort(reason), 1);
    }
  }, reason);
});
