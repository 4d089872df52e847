/** All breakouts again as an ordinary user: what root may not be tricked into, nobody else may be either. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { runningAs, runTestsAs } from '../../support/as-user.js';

const here = new URL('.', import.meta.url);
const files = readdirSync(here).filter((name) => name.endsWith('.test.js') && name !== 'as-user.test.js');
const outermost = process.geteuid?.() === 0 && runningAs() === undefined;

test('every breakout as an ordinary user', { skip: outermost ? false : 'needs root to become another' }, () => {
  const run = runTestsAs(
    'user',
    files.map((name) => new URL(name, here)),
  );
  assert.equal(run.status, 0, run.output.slice(-20_000));
  assert.ok(run.pass >= 110, `only ${run.pass} tests ran`);
});
