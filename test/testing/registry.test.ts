/** The healthy registry over the wire: pull, push, paging, ranges, counters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, document, image, index, startRegistry } from '../../src/testing/testing.js';

const built = image()
  .layer((l) => l.file('a', 'x'.repeat(5000)))
  .layer((l) => l.file('b', 'y'))
  .build();

test('manifests and blobs come back as they were added', async () => {
  await using registry = await startRegistry();
  const both = index().add(built).build();
  registry.add('library/app', 'latest', both);
  assert.match(registry.host, /^127\.0\.0\.1:\d+$/);
  for (const reference of ['latest', both.descriptor.digest, built.descriptor.digest]) {
    const response = await fetch(`${registry.url}/v2/library/app/manifests/${reference}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.headers.get('docker-content-digest'), digestOf(bytes));
    assert.equal(response.status, 200);
  }
  for (const layer of built.layers) {
    const response = await fetch(`${registry.url}/v2/library/app/blobs/${layer.descriptor.digest}`);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), layer.blob);
    assert.equal(registry.log.bytesOf(layer.descriptor.digest), layer.blob.length);
  }
  const head = await fetch(`${registry.url}/v2/library/app/manifests/latest`, { method: 'HEAD' });
  assert.equal(head.headers.get('content-length'), String(both.descriptor.size));
  assert.equal((await fetch(`${registry.url}/v2/library/app/manifests/none`)).status, 404);
  assert.equal((await fetch(`${registry.url}/v2/other/blobs/${built.layers[0]?.descriptor.digest}`)).status, 404);
  assert.equal(registry.log.requests.length, 8);
  assert.equal(registry.log.of('blob').length, 3);
});

test('a range gives these bytes', async () => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', built);
  const { digest, size } = built.layers[0]?.descriptor ?? built.descriptor;
  const blob = built.layers[0]?.blob ?? Buffer.alloc(0);
  const get = (range: string) => fetch(`${registry.url}/v2/app/blobs/${digest}`, { headers: { range } });
  for (const [range, start, end] of [
    ['bytes=0-9', 0, 10],
    ['bytes=10-', 10, size],
    ['bytes=-5', size - 5, size],
    [`bytes=3-${size + 50}`, 3, size],
  ] as const) {
    const response = await get(range);
    assert.equal(response.status, 206);
    assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), blob.subarray(start, end));
  }
  assert.equal((await get(`bytes=${size}-`)).status, 416);
  assert.equal((await get('bytes=0-1,4-5')).status, 200);
});

test('blobs are pushed whole, in chunks, by mount; a manifest needs its parts', async () => {
  await using registry = await startRegistry();
  const base = `${registry.url}/v2/new/app`;
  const put = () =>
    fetch(`${base}/manifests/v1`, {
      method: 'PUT',
      body: built.manifestBytes,
      headers: { 'content-type': built.descriptor.mediaType },
    });
  assert.equal((await put()).status, 404);
  const [first, second] = built.layers;
  assert.ok(first !== undefined && second !== undefined);
  const post = (query = '', body?: Buffer) =>
    fetch(`${base}/blobs/uploads/${query}`, { method: 'POST', body: body ?? null });

  assert.equal((await post(`?digest=${first.descriptor.digest}`, second.blob)).status, 400);
  assert.equal((await post(`?digest=${first.descriptor.digest}`, first.blob)).status, 201);

  const place = `${registry.url}${(await post()).headers.get('location')}`;
  const half = second.blob.subarray(0, 10);
  const chunk = await fetch(place, { method: 'PATCH', body: half, headers: { 'content-range': '0-9' } });
  assert.equal(chunk.status, 202);
  assert.equal(chunk.headers.get('range'), '0-9');
  assert.equal(
    (await fetch(place, { method: 'PATCH', body: half, headers: { 'content-range': '20-29' } })).status,
    416,
  );
  assert.equal((await fetch(place)).headers.get('range'), '0-9');
  const rest = await fetch(`${place}?digest=${second.descriptor.digest}`, {
    method: 'PUT',
    body: second.blob.subarray(10),
  });
  assert.equal(rest.status, 201);

  registry.add('old', undefined, built);
  const mounted = await post(`?mount=${built.manifest.config.digest}&from=old`);
  assert.equal(mounted.status, 201);
  assert.equal((await put()).status, 201);
  assert.equal(registry.content.manifest('new/app', 'v1')?.digest, built.descriptor.digest);
  assert.equal((await fetch(`${base}/manifests/v1`, { method: 'DELETE' })).status, 202);
  assert.equal((await fetch(`${base}/manifests/v1`)).status, 404);
});

test('tags and catalog come in pages', async () => {
  await using registry = await startRegistry({ pageSize: 2 });
  for (const tag of ['c', 'a', 'e', 'b', 'd']) registry.add('app', tag, built);
  const seen: string[] = [];
  let next: string | undefined = '/v2/app/tags/list';
  while (next !== undefined) {
    const response: Response = await fetch(`${registry.url}${next}`);
    seen.push(...((await response.json()) as { tags: string[] }).tags);
    next = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
  }
  assert.deepEqual(seen, ['a', 'b', 'c', 'd', 'e']);
  assert.equal(registry.log.of('tags').length, 3);
  assert.deepEqual(await (await fetch(`${registry.url}/v2/_catalog`)).json(), { repositories: ['app'] });
  assert.equal((await fetch(`${registry.url}/v2/none/tags/list`)).status, 404);
});

test('referrers are found by subject and type', async () => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', built);
  const signature = image().subject(built.descriptor, 'application/x-sig').build();
  registry.add('app', undefined, signature);
  const url = `${registry.url}/v2/app/referrers/${built.descriptor.digest}`;
  const found = (await (await fetch(url)).json()) as { manifests: { digest: string }[] };
  assert.deepEqual(
    found.manifests.map((entry) => entry.digest),
    [signature.descriptor.digest],
  );
  const config = 'application/vnd.oci.image.config.v1+json';
  const untyped = image().subject(built.descriptor, '').build();
  registry.add('app', undefined, untyped);
  const typed = await fetch(`${url}?artifactType=${encodeURIComponent(config)}`);
  const [only] = ((await typed.json()) as typeof found).manifests;
  assert.deepEqual(only, { ...untyped.descriptor, artifactType: config });
  const none = await fetch(`${url}?artifactType=x/y`);
  assert.equal(none.headers.get('oci-filters-applied'), 'artifactType');
  assert.deepEqual(((await none.json()) as { manifests: unknown[] }).manifests, []);
  assert.equal((await fetch(`${registry.url}/v2/app/referrers/latest`)).status, 400);
});

test('what real registries do not all have can be switched off', async () => {
  await using registry = await startRegistry({ strictAccept: true, referrers: false, mounts: false });
  registry.add('app', 'latest', built);
  const manifest = `${registry.url}/v2/app/manifests/latest`;
  assert.equal((await fetch(manifest, { headers: { accept: 'application/json' } })).status, 404);
  assert.equal(
    (await fetch(manifest, { headers: { accept: `a/b, ${built.descriptor.mediaType};q=0.5` } })).status,
    200,
  );
  assert.equal((await fetch(`${registry.url}/v2/app/referrers/${built.descriptor.digest}`)).status, 404);
  const withSubject = JSON.stringify({ ...built.manifest, subject: built.descriptor });
  const put = { method: 'PUT', headers: { 'content-type': built.descriptor.mediaType }, body: withSubject };
  const stored = await fetch(`${registry.url}/v2/app/manifests/artifact`, put);
  assert.deepEqual([stored.status, stored.headers.get('oci-subject')], [201, null]);
  const mount = `${registry.url}/v2/new/blobs/uploads/?mount=${built.manifest.config.digest}&from=app`;
  assert.equal((await fetch(mount, { method: 'POST' })).status, 202);
});

test('referrers come in pages, documents of every kind are served as they are', async () => {
  await using registry = await startRegistry({ pageSize: 1 });
  for (const note of ['a', 'b']) {
    const subject = { subject: built.descriptor, artifactType: 'x/y', annotations: { note } };
    registry.add('app', undefined, document('application/vnd.oci.image.manifest.v1+json', subject));
  }
  const first = await fetch(`${registry.url}/v2/app/referrers/${built.descriptor.digest}?artifactType=x%2Fy`);
  const link = /^<(.*)>/.exec(first.headers.get('link') ?? '')?.[1];
  assert.equal(((await first.json()) as { manifests: unknown[] }).manifests.length, 1);
  const second = await fetch(registry.url + link);
  assert.equal(second.headers.get('link'), null);
  assert.equal(
    ((await second.json()) as { manifests: { annotations: { note: string } }[] }).manifests[0]?.annotations.note,
    'b',
  );
  registry.add('odd', 'latest', document('text/x-odd', 'no json at all'));
  const odd = await fetch(`${registry.url}/v2/odd/manifests/latest`);
  assert.deepEqual([odd.headers.get('content-type'), await odd.text()], ['text/x-odd', 'no json at all']);
});

test('the log counts requests at once and bytes both ways, and can be waited for', async () => {
  await using registry = await startRegistry({ faults: [{ on: 'blob', times: 3, do: 'silence' }] });
  registry.add('app', 'latest', built);
  const url = `${registry.url}/v2/app/blobs/${built.layers[0]?.descriptor.digest}`;
  const leave = new AbortController();
  const asked = [1, 2, 3].map(() => assert.rejects(fetch(url, { signal: leave.signal })));
  await registry.log.until((log) => log.of('blob').length === 3);
  assert.equal(registry.log.mostBlobsAtOnce, 3);
  leave.abort();
  await Promise.all(asked);
  await registry.log.until((log) => log.requests.every((record) => record.done));
  await (await fetch(url)).arrayBuffer();
  assert.equal(registry.log.mostBlobsAtOnce, 3);
  await fetch(`${registry.url}/v2/app/blobs/uploads/`, { method: 'POST', body: Buffer.alloc(77) });
  assert.equal(registry.log.of('upload')[0]?.bytesReceived, 77);
  registry.log.reset();
  assert.equal(registry.log.requests.length, 0);
  assert.equal(registry.log.mostBlobsAtOnce, 0);
  await assert.rejects(
    registry.log.until(() => false, AbortSignal.abort(new Error('enough'))),
    /enough/,
  );
});

test('a condition that throws ends the waiting for it, and nothing else', async () => {
  await using registry = await startRegistry();
  const waiting = registry.log.until(({ requests: [one] }) => {
    if (one === undefined) return false;
    throw new Error('a mistake in the test');
  });
  const [asked] = await Promise.all([fetch(`${registry.url}/v2/`), assert.rejects(waiting, /a mistake in the test/)]);
  assert.equal(asked.status, 200);
  assert.deepEqual(registry.log.errors, []);
});
