import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../src/registry/endpoint.js';
import { ServedContent } from '../../src/registry/served-content.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
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
  served.note(DIGEST, mirror, 'https://mirror.example', undefined);
  assert.equal(served.distrust(DIGEST), true);
  assert.deepEqual([...served.distrusted(DIGEST)], ['https://mirror.example']);
  // It came from there again: there is nobody else.
  served.note(DIGEST, mirror, 'https://mirror.example', undefined);
  assert.equal(served.distrust(DIGEST), false);
  assert.equal(served.distrusted(`sha256:${'b'.repeat(64)}`).size, 0);
});

test('the registry itself is asked again, whatever it brought', () => {
  const served = new ServedContent();
  served.note(DIGEST, endpoint('registry.example'), 'https://storage.example', undefined);
  assert.equal(served.distrust(DIGEST), false);
  assert.equal(served.distrusted(DIGEST).size, 0);
});

test('ranges are advised by what each origin behind an endpoint showed; a refusal outweighs every offer', () => {
  const served = new ServedContent();
  const registry = endpoint('registry.example');
  const [home, storage] = ['https://registry.example', 'https://storage.example'];
  const blob = (digit: string): Descriptor => ({
    mediaType: 'application/octet-stream',
    digest: `sha256:${digit.repeat(64)}`,
    size: 64 * 1024 ** 2,
  });
  served.note(DIGEST, registry, home, 'offered');
  assert.deepEqual([served.parallelism(blob('b'), 'auto'), served.parallelism(blob('b'), 7)], [4, 7]);
  served.refused(blob('b').digest, registry, storage);
  served.note(DIGEST, registry, home, 'honoured');
  served.note(blob('b').digest, registry, storage, 'offered');
  assert.deepEqual([served.parallelism(blob('c'), 'auto'), served.parallelism(blob('c'), 7)], [1, 1]);
  // Another server of the same name may do better, with other content.
  served.note(blob('d').digest, registry, storage, 'honoured');
  assert.deepEqual([served.parallelism(blob('c'), 'auto'), served.parallelism(blob('b'), 'auto')], [4, 1]);
});

test('what one endpoint serves is not judged by another one', () => {
  const served = new ServedContent();
  const target: Descriptor = { mediaType: 'application/octet-stream', digest: DIGEST, size: 64 * 1024 ** 2 };
  served.note(DIGEST, endpoint('mirror.example', 'registry.example'), 'https://mirror.example', 'honoured');
  served.note(`sha256:${'e'.repeat(64)}`, endpoint('registry.example'), 'https://registry.example', undefined);
  assert.equal(served.parallelism(target, 'auto'), 4);
});

test('what was missing is remembered once, and of very many blobs the last', () => {
  const served = new ServedContent();
  const digest = (at: number): Digest => `sha256:${at.toString(16).padStart(64, '0')}`;
  served.noteThere(DIGEST, false);
  assert.deepEqual([served.takeAbsent(DIGEST), served.takeAbsent(DIGEST)], [true, false]);
  served.noteThere(DIGEST, false);
  served.noteThere(DIGEST, true);
  assert.equal(served.takeAbsent(DIGEST), false);
  for (let at = 0; at <= 10_000; at++) served.noteThere(digest(at), false);
  assert.deepEqual([served.takeAbsent(digest(0)), served.takeAbsent(digest(10_000))], [false, true]);
});
