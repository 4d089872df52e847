/** What an exchange that failed is told as. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkError } from '../../src/registry/network-error.js';

test('where Node allows no network, that is the error, and not one to try again', () => {
  const request = { method: 'GET', url: new URL('https://r.example/v2/'), timeoutMs: 1, proxy: new URL('http://p') };
  const message = 'connect ERR_ACCESS_DENIED Access to this API has been restricted. Use --allow-net.';
  // As Node 26 makes it.
  const refused = Object.assign(new Error(message), { code: 'ERR_ACCESS_DENIED', syscall: 'connect' });
  const { code, message: told } = networkError(new Error('fetch failed', { cause: refused }), request);
  assert.equal(code, 'ERR_PERMISSION');
  assert.equal(told, `r.example: ${message.slice(0, -1)}; Node was started with --permission; start it without`);
});
