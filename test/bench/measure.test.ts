/** A measurement of nothing is no row of the bench: it fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '../support/tools.js';
import { alternate, type Contestant, contest, median, type Run, runOnce } from './measure.js';

const contestant = (name: string, run: Run): Contestant => ({ name, run: async () => run });
const one = contestant('one', { wall: 2, cpu: 1, peak: 100 });
const two = contestant('two', { wall: 4, cpu: 3, peak: 50 });

test('contestants run in turn, each once before where they are warmed; times are medians, the peak is the highest', async () => {
  const order: string[] = [];
  const walls = [9, 1, 2, 3];
  const changing: Contestant = {
    name: 'changing',
    run: async () => {
      order.push('changing');
      const wall = walls[order.filter((name) => name === 'changing').length - 1] ?? 0;
      return { wall, cpu: wall, peak: wall * 10 };
    },
  };
  const other: Contestant = {
    name: 'other',
    run: () => {
      order.push('other');
      return two.run();
    },
  };
  const [a, b] = await contest(changing, other, 3);
  assert.deepEqual(
    [a, b],
    [
      { wall: 2, cpu: 2, peak: 30 },
      { wall: 4, cpu: 3, peak: 50 },
    ],
  );
  assert.deepEqual(order, ['changing', 'other', 'changing', 'other', 'changing', 'other', 'changing', 'other']);
  assert.equal(median([4, 1, 3, 2]), 2.5);
});

test('no rounds, and what a contestant did not measure, fail by name', async () => {
  for (const rounds of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(alternate([one, two], rounds), { message: `rounds: ${rounds} is no count of 1 or more` });
  }
  for (const [field, value] of [
    ['wall', 0],
    ['cpu', Number.NaN],
    ['peak', 0],
    ['peak', Number.NaN],
  ] as const) {
    const lame = contestant('lame', { wall: 2, cpu: 1, peak: 100, [field]: value });
    await assert.rejects(alternate([one, lame], 1), { message: /^lame: nothing was measured: / }, field);
  }
});

test('a command is measured by GNU time; one that fails says what it wrote', { skip: needs('time') }, async () => {
  const run = await runOnce(['sh', '-c', 'head -c 50000000 /dev/zero | tail -c 50000000 | wc -c']);
  assert.ok(run.wall > 0 && run.cpu >= 0 && run.peak > 1024 ** 2, JSON.stringify(run));
  await assert.rejects(runOnce(['sh', '-c', 'echo why >&2; exit 3']), /exit 3\nwhy/);
});
