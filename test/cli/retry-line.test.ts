/** The line that says that a request is tried again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';

test('a request that is tried again is told once, with its subject in front', async () => {
  await using registry = await startRegistry({ faults: [{ on: 'tags', do: 'answer', status: 503, times: 1 }] });
  registry.content.repository('app');
  const { code, stderr } = await runRootfs(['tags', `${registry.host}/app`]);
  assert.equal(code, 0, stderr);
  const told = `${registry.host}/app`;
  assert.match(
    stderr,
    new RegExp(`^rootfs: ${told}: ${registry.host} answered with status 503.*; attempt 2 in [\\d.]+ s$`, 'm'),
  );
});

test('the repositories of a registry are listed with what is told meanwhile', async () => {
  await using registry = await startRegistry({ faults: [{ on: 'catalog', do: 'answer', status: 503, times: 1 }] });
  registry.content.repository('app');
  const { code, stdout, stderr } = await runRootfs(['repos', registry.host]);
  assert.deepEqual([code, stdout.toString()], [0, 'app\n'], stderr);
  assert.match(stderr, /answered with status 503.*; attempt 2 in /);
});

test('a reason that does not name the subject gets it in front', async () => {
  await using registry = await startRegistry({ faults: [{ on: 'tags', do: 'hang-up', nth: 2, times: 1 }] });
  registry.content.repository('app');
  registry.fault({ on: 'tags', do: 'answer', status: 503, times: 1 });
  const { code, stderr } = await runRootfs(['tags', `${registry.host}/app`]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`^rootfs: ${registry.host}/app: ${registry.host}: connection .*; attempt 3 in`, 'm'));
});
