/** A registry that does not know a manifest's blobs at first: it is put again, and not for ever. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { createRepository } from '../../src/registry/repository.js';
import { image, startRegistry } from '../../src/testing/testing.js';

const built = image()
  .layer((layer) => layer.file('a', 'x'))
  .build();
const unknown = { errors: [{ code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown to registry' }] };

for (const [times, puts, ends] of [
  [1, 2, 'well'],
  [9, 3, 'with the error'],
] as const) {
  test(`unknown ${times} times: put ${puts} times, ends ${ends}`, async () => {
    await using registry = await startRegistry();
    registry.add('team/app', 'latest', built);
    registry.fault({ on: 'manifest', method: 'PUT', times, do: 'answer', status: 400, body: unknown });
    const bytes = built.blobs.get(built.descriptor.digest) ?? Buffer.alloc(0);
    const repository = createRepository(`${registry.host}/team/app`);
    const pushed = repository.push(built.descriptor, Readable.from([bytes]));
    if (ends === 'well') await pushed;
    else await assert.rejects(pushed, { status: 400 });
    assert.equal(registry.log.of('manifest').filter(({ method }) => method === 'PUT').length, puts);
  });
}

test('a failure that names unknown blobs is tried as often as any failure, and no more', async () => {
  await using registry = await startRegistry();
  registry.add('team/app', 'latest', built);
  // As docker-registry answers for a layer whose urls it does not allow.
  const body = { errors: [{ code: 'UNKNOWN', message: 'unknown error' }, ...unknown.errors] };
  registry.fault({ on: 'manifest', method: 'PUT', times: 99, do: 'answer', status: 500, body });
  const bytes = built.blobs.get(built.descriptor.digest) ?? Buffer.alloc(0);
  const repository = createRepository(`${registry.host}/team/app`, { retry: 1 });
  await assert.rejects(repository.push(built.descriptor, Readable.from([bytes])), { status: 500 });
  assert.equal(registry.log.of('manifest').filter(({ method }) => method === 'PUT').length, 2);
});
