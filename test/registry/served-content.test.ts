import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { ServedContent } from '../../src/registry/served-content.js';
import type { Digest } from '../../src/spec/digest.js';

const DIGEST: Digest = `sha256:${'a'.repeat(64)}`;

function endpoint(host: string, mirrorOf?: string): Endpoint {
  const asked = { baseUrl: `https://${host}`, repository: 'app', credentialHost: host };
  return { ...asked, capabilities: ['pull'], source: 'a test', mirrorOf };
}

test('a mirror that brought wrong content is distrusted for it, and asking again helps once', () => {
  const served = new ServedContent();
  const mirror = endpoint('mirror.example', 'registry.example');
  assert.equal(served.distrust(DIGEST), false);
  served.note(DIGEST, mirror, undefined);
  assert.equal(served.distrust(DIGEST), true);
  assert.deepEqual([...served.distrusted(DIGEST)], ['https://mirror.example']);
  // It came from there again: there is nobody else.
  served.note(DIGEST, mirror, undefined);
  assert.equal(served.distrust(DIGEST), false);
  assert.equal(served.distrusted(`sha256:${'b'.repeat(64)}`).size, 0);
});

test('the registry itself is asked again, whatever it brought', () => {
  const served = new ServedContent();
  served.note(DIGEST, endpoint('registry.example'), undefined);
  assert.equal(served.distrust(DIGEST), false);
  assert.equal(served.distrusted(DIGEST).size, 0);
});
