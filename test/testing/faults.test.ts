/** Every fault, seen on the wire. */
import assert from 'node:assert/strict';
import { Agent, createServer } from 'node:http';
import { test } from 'node:test';
import { closedPort, type Fault, image, startRegistry } from '../../src/testing/testing.js';
import { exchange } from './exchange.js';

const noise = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 3));
const built = image()
  .compression('none')
  .layer((l) => l.file('noise', noise))
  .layer((l) => l.file('b', 'y'))
  .build();
const [layer] = built.layers;
assert.ok(layer !== undefined);
const { digest, size } = layer.descriptor;
const blob = layer.blob;

async function withFault(fault: Fault | readonly Fault[], options: Parameters<typeof startRegistry>[0] = {}) {
  const faults = Array.isArray(fault) ? (fault as readonly Fault[]) : [fault as Fault];
  const registry = await startRegistry({ ...options, faults });
  registry.add('app', 'latest', built);
  const blobUrl = `${registry.url}/v2/app/blobs/${digest}`;
  const manifestUrl = `${registry.url}/v2/app/manifests/latest`;
  return { registry, blobUrl, manifestUrl, [Symbol.asyncDispose]: () => registry.close() };
}

test('a fault strikes the requests it names, from the nth on, so many times', async () => {
  await using it = await withFault({ on: 'blob', do: 'answer', status: 503, nth: 2, times: 2 });
  const statuses = [];
  for (let at = 0; at < 5; at += 1) {
    statuses.push((await exchange(it.blobUrl)).status);
    assert.equal((await exchange(it.manifestUrl)).status, 200);
  }
  assert.deepEqual(statuses, [200, 503, 503, 200, 200]);
  const fault = it.registry.fault({
    on: ['manifest', 'tags'],
    reference: 'latest',
    method: 'GET',
    do: 'answer',
    status: 418,
  });
  assert.equal((await exchange(it.manifestUrl)).status, 418);
  assert.equal((await exchange(it.manifestUrl, { method: 'HEAD' })).status, 200);
  assert.equal((await exchange(it.manifestUrl.replace('latest', built.descriptor.digest))).status, 200);
  assert.equal(fault.struck, 1);
  fault.remove();
  assert.equal((await exchange(it.manifestUrl)).status, 200);
});

test('a fault that there is not, and counts that are none, are refused', async () => {
  for (const wrong of [
    { on: 'any', do: 'explode' },
    { on: 'any', do: 'html', nth: 0 },
    { on: 'any', do: 'html', times: 1.5 },
  ]) {
    await assert.rejects(startRegistry({ faults: [wrong as Fault] }), { code: 'ERR_OPTION_INVALID' });
  }
});

test('answers that stand in for the right one', async () => {
  await using it = await withFault([
    { on: 'manifest', times: 1, do: 'html' },
    { on: 'manifest', nth: 1, times: 1, do: 'code-only', status: 403, code: 'DENIED' },
    { on: 'manifest', nth: 1, times: 1, do: 'schema1' },
  ]);
  // the first of several counts
  const html = await exchange(it.manifestUrl);
  assert.equal(html.status, 200);
  assert.match(String(html.headers['content-type']), /^text\/html/);
  await using other = await withFault([
    { on: 'manifest', times: 1, do: 'code-only', status: 403, code: 'DENIED' },
    { on: 'manifest', nth: 2, do: 'schema1' },
  ]);
  const bare = await exchange(other.manifestUrl);
  assert.deepEqual(JSON.parse(bare.body.toString()), { errors: [{ code: 'DENIED' }] });
  const old = await exchange(other.manifestUrl);
  assert.equal(old.headers['content-type'], 'application/vnd.docker.distribution.manifest.v1+prettyjws');
  assert.equal(JSON.parse(old.body.toString()).schemaVersion, 1);
});

test('Retry-After comes in seconds and as a date', async () => {
  await using it = await withFault([
    { on: 'blob', times: 1, do: 'retry-later', seconds: 7 },
    { on: 'blob', nth: 2, do: 'retry-later', status: 503, seconds: 100, date: true },
  ]);
  const first = await exchange(it.blobUrl);
  assert.equal(first.status, 429);
  assert.equal(first.headers['retry-after'], '7');
  const second = await exchange(it.blobUrl);
  assert.equal(second.status, 503);
  assert.ok(Date.parse(String(second.headers['retry-after'])) > Date.now());
});

test('a connection is closed without an answer, at once or within the request', async () => {
  await using it = await withFault([
    { on: 'blob', do: 'hang-up' },
    { on: 'upload', do: 'hang-up', after: 10 },
  ]);
  const none = await exchange(it.blobUrl);
  assert.deepEqual([none.status, none.end], [0, 'ECONNRESET']);
  const upload = await exchange(`${it.registry.url}/v2/app/blobs/uploads/`, { method: 'POST', body: blob });
  assert.equal(upload.status, 0);
  assert.equal(it.registry.content.repository('app').uploads.size, 0);
});

test('silence: the request arrives and nothing comes', async () => {
  await using it = await withFault({ on: 'blob', do: 'silence' });
  const asked = exchange(it.blobUrl);
  await exchange(it.manifestUrl);
  assert.equal(it.registry.log.of('blob')[0]?.status ?? 0, 0);
  await it.registry.close();
  assert.equal((await asked).status, 0);
});

test('redirects of every code lead to a second origin that refuses credentials', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    await using it = await withFault({ on: 'blob', do: 'redirect', status });
    const redirect = await exchange(it.blobUrl);
    assert.equal(redirect.status, status);
    const target = String(redirect.headers.location);
    assert.ok(target.startsWith(it.registry.storageUrl));
    assert.notEqual(it.registry.storageUrl, it.registry.url);
    assert.deepEqual((await exchange(target)).body, blob);
    assert.equal(it.registry.log.bytesOf(digest), size);
    assert.equal(it.registry.log.leaked.length, 0);
    const leak = await exchange(target, { headers: { authorization: 'Bearer secret' } });
    assert.equal(leak.status, 400);
    assert.equal(it.registry.log.leaked.length, 1);
    assert.equal((await exchange(target.replace('signature=good', ''))).status, 403);
  }
});

test('redirect chains, loops, relative and foreign locations', async () => {
  const follow = async (fault: Fault): Promise<{ urls: string[]; body: Buffer }> => {
    await using it = await withFault(fault);
    const urls: string[] = [];
    let url: string | undefined = it.blobUrl;
    let body = Buffer.alloc(0);
    while (url !== undefined && urls.length < 20) {
      urls.push(url);
      const got = await exchange(url);
      body = got.body as Buffer<ArrayBuffer>;
      url = got.headers.location === undefined ? undefined : new URL(got.headers.location, url).href;
    }
    return { urls, body };
  };
  const chain = await follow({ on: 'blob', do: 'redirect', hops: 4 });
  assert.equal(chain.urls.length, 5);
  assert.deepEqual(chain.body, blob);
  assert.equal((await follow({ on: 'blob', do: 'redirect', to: 'loop' })).urls.length, 20);
  const relative = await follow({ on: 'blob', do: 'redirect', to: 'relative', status: 302 });
  assert.equal(new URL(relative.urls[1] ?? '').host, new URL(relative.urls[0] ?? '').host);
  assert.deepEqual(relative.body, blob);
  await using it = await withFault([
    { on: 'blob', do: 'redirect', to: { location: 'file:///etc/passwd' } },
    { on: 'manifest', do: 'redirect', to: { location: null } },
  ]);
  assert.equal((await exchange(it.blobUrl)).headers.location, 'file:///etc/passwd');
  assert.equal((await exchange(it.manifestUrl)).headers.location, undefined);
});

test('a manifest behind a redirect, and faults at the second origin', async () => {
  await using it = await withFault([
    { on: 'manifest', do: 'redirect' },
    { on: 'blob', do: 'redirect' },
    { on: 'storage', reference: digest, do: 'cut', after: 1000 },
  ]);
  const manifest = await exchange(String((await exchange(it.manifestUrl)).headers.location));
  assert.deepEqual(manifest.body, built.manifestBytes);
  const cut = await exchange(String((await exchange(it.blobUrl)).headers.location));
  assert.equal(cut.body.length, 1000);
});

test('cut: the connection ends after so many bytes, of an answer or of all on it', async () => {
  await using it = await withFault({ on: 'blob', do: 'cut', after: 65_536 });
  for (const start of [0, 65_536]) {
    const got = await exchange(it.blobUrl, { headers: { range: `bytes=${start}-` } });
    assert.equal(got.status, 206);
    assert.equal(got.headers['content-length'], String(size - start));
    assert.equal(got.end, 'ECONNRESET');
    assert.deepEqual(got.body, blob.subarray(start, start + 65_536));
  }
  assert.equal(it.registry.log.bytesOf(digest), 2 * 65_536);
  await using per = await withFault({ on: 'any', do: 'cut', after: 1000, per: 'connection' });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const answers = [await exchange(per.manifestUrl, { agent }), await exchange(per.manifestUrl, { agent })];
  agent.destroy();
  const length = built.manifestBytes.length;
  assert.deepEqual(
    answers.map((got) => got.body.length),
    [length, 1000 - length],
  );
  assert.deepEqual(
    per.registry.log.requests.map((record) => record.connection),
    [1, 1],
  );
  assert.equal(per.registry.log.bytesSent, 1000);
});

test('stall: nothing more comes, and the connection stays', async () => {
  await using it = await withFault({ on: 'blob', do: 'stall', after: 5000 });
  const got = await exchange(it.blobUrl, { until: 5000 });
  assert.deepEqual(got.body, blob.subarray(0, 5000));
  assert.equal(it.registry.log.of('blob')[0]?.bytesSent, 5000);
});

test('drip, slow and latency change nothing of the bytes', async () => {
  await using it = await withFault([
    { on: 'manifest', do: 'drip', bytes: 200, everyMs: 1 },
    { on: 'blob', do: 'slow', bytesPerSecond: 20_000_000 },
    { on: 'any', do: 'latency', ms: 5 },
  ]);
  assert.deepEqual((await exchange(it.manifestUrl)).body, built.manifestBytes);
  assert.deepEqual((await exchange(it.blobUrl)).body, blob);
});

test('short, long and endless bodies under true and false lengths', async () => {
  const cases: [Fault, { length: string | undefined; body: number; end: string }][] = [
    [
      { on: 'blob', do: 'short', by: 10 },
      { length: String(size - 10), body: size - 10, end: 'whole' },
    ],
    [
      { on: 'blob', do: 'short', by: 10, declared: 'original' },
      { length: String(size), body: size - 10, end: 'ECONNRESET' },
    ],
    [
      { on: 'blob', do: 'short', by: 10, declared: 'none' },
      { length: undefined, body: size - 10, end: 'whole' },
    ],
    [
      { on: 'blob', do: 'long', by: 10 },
      { length: String(size + 10), body: size + 10, end: 'whole' },
    ],
    [
      { on: 'blob', do: 'long', by: 10, declared: 'none' },
      { length: undefined, body: size + 10, end: 'whole' },
    ],
    [
      { on: 'blob', do: 'headers', remove: ['Content-Length'] },
      { length: undefined, body: size, end: 'whole' },
    ],
  ];
  for (const [fault, expected] of cases) {
    await using it = await withFault(fault);
    const got = await exchange(it.blobUrl);
    const seen = { length: got.headers['content-length'], body: got.body.length, end: got.end };
    assert.deepEqual(seen, expected, JSON.stringify(fault));
  }
  // whether the client still sees the bytes after the declared end depends on how they arrive; that they left does not
  await using more = await withFault({ on: 'blob', do: 'long', by: 10, declared: 'original' });
  const junk = await exchange(more.blobUrl);
  assert.deepEqual([junk.headers['content-length'], junk.body.length], [String(size), size]);
  assert.equal(more.registry.log.bytesOf(digest), size + 10);
  await using it = await withFault({ on: 'blob', do: 'endless' });
  const endless = await exchange(it.blobUrl, { until: size * 3 });
  assert.equal(endless.end, 'left');
  assert.deepEqual(endless.body.subarray(0, size), blob);
});

test('flip: one bit is wrong', async () => {
  await using it = await withFault({ on: 'blob', do: 'flip', at: 17 });
  const { body } = await exchange(it.blobUrl);
  assert.equal(body.length, size);
  assert.deepEqual(
    [...body.entries()].filter(([at, byte]) => byte !== blob[at]).map(([at]) => at),
    [17],
  );
  it.registry.clearFaults();
  assert.deepEqual((await exchange(it.blobUrl)).body, blob);
});

test('headers: mislabelled, lying or missing', async () => {
  await using it = await withFault([
    { on: 'manifest', do: 'headers', set: { 'Content-Type': 'text/plain', 'docker-content-digest': digest } },
    { on: 'blob', do: 'headers', set: { 'content-encoding': 'gzip' }, remove: ['Docker-Content-Digest'] },
    { on: 'blob', method: 'HEAD', do: 'answer', status: 405 },
  ]);
  const manifest = await exchange(it.manifestUrl);
  assert.equal(manifest.headers['content-type'], 'text/plain');
  assert.equal(manifest.headers['docker-content-digest'], digest);
  const got = await exchange(it.blobUrl);
  assert.equal(got.headers['content-encoding'], 'gzip');
  assert.equal(got.headers['docker-content-digest'], undefined);
  assert.equal((await exchange(it.blobUrl, { method: 'HEAD' })).status, 405);
});

test('ranges: ignored, refused, and lies about them', async () => {
  const cases: [string, { status: number; range: string | undefined; body: Buffer }][] = [
    ['ignored', { status: 200, range: undefined, body: blob }],
    ['refused', { status: 416, range: `bytes */${size}`, body: Buffer.alloc(0) }],
    ['no-header', { status: 206, range: undefined, body: blob.subarray(100, 200) }],
    ['shifted', { status: 206, range: `bytes 0-99/${size}`, body: blob.subarray(0, 100) }],
    ['wrong-bytes', { status: 206, range: `bytes 100-199/${size}`, body: blob.subarray(0, 100) }],
    ['wrong-total', { status: 206, range: `bytes 100-199/${size + 1}`, body: blob.subarray(100, 200) }],
    ['unknown-total', { status: 206, range: 'bytes 100-199/*', body: blob.subarray(100, 200) }],
    ['to-the-end', { status: 206, range: `bytes 100-${size - 1}/${size}`, body: blob.subarray(100) }],
  ];
  for (const [as, expected] of cases) {
    await using it = await withFault({ on: 'blob', do: 'range', as } as Fault);
    assert.deepEqual((await exchange(it.blobUrl)).body, blob);
    const got = await exchange(it.blobUrl, { headers: { range: 'bytes=100-199' } });
    const seen = { status: got.status, range: got.headers['content-range'], body: got.body };
    assert.deepEqual(seen, expected, as);
  }
});

test('pages: loops, links of every form, none at all', async () => {
  const page = async (as: string, path = '/v2/app/tags/list') => {
    await using it = await withFault({ on: ['tags', 'referrers'], do: 'paging', as } as Fault, { pageSize: 1 });
    it.registry.add('app', 'older', built);
    const { headers, body } = await exchange(it.registry.url + path);
    return {
      link: String(headers['link']).replace(it.registry.url, 'SELF').replace(it.registry.storageUrl, 'OTHER'),
      value: JSON.parse(body.toString().replace(it.registry.url, 'SELF')),
    };
  };
  assert.equal((await page('loop')).link, '</v2/app/tags/list?n=1&last=latest>; rel="next"');
  assert.equal((await page('loop', '/v2/app/tags/list?n=1&last=latest')).link, '</v2/app/tags/list>; rel="next"');
  assert.equal((await page('absolute')).link, '<SELF/v2/app/tags/list?n=1&last=latest>; rel="next"');
  assert.equal((await page('other-origin')).link, '<OTHER/storage/v2/app/tags/list?n=1&last=latest>; rel="next"');
  const next = await page('json-next');
  assert.deepEqual([next.link, next.value.next], ['undefined', 'SELF/v2/app/tags/list?n=1&last=latest']);
  assert.deepEqual((await page('endless', '/v2/app/tags/list?page=41')).value.tags, ['name-41']);
  assert.equal((await page('endless', '/v2/app/tags/list?page=41')).link, '</v2/app/tags/list?page=42>; rel="next"');
  assert.equal((await page('null')).value.tags, null);
  const referrers = await page('endless', `/v2/app/referrers/${digest}`);
  assert.deepEqual(referrers.value.manifests, []);
  assert.equal((await page('loop', '/v2/nobody/tags/list')).value.errors[0].code, 'NAME_UNKNOWN');
});

test('a closed port refuses, and was open a moment ago', async () => {
  const port = await closedPort();
  assert.equal((await exchange(`http://127.0.0.1:${port}/v2/`)).end, 'ECONNREFUSED');
  // the port can be opened: nobody holds it
  await new Promise<void>((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(port, '127.0.0.1', () => server.close(() => resolve()));
  });
});

test('a fault that cannot be sent breaks the connection and is told', async () => {
  await using it = await withFault({ on: 'blob', do: 'headers', set: { 'x-odd': 'line\nbreak' } });
  assert.equal((await exchange(it.blobUrl)).status, 0);
  assert.equal((it.registry.log.errors[0] as NodeJS.ErrnoException).code, 'ERR_INVALID_CHAR');
  assert.equal((await exchange(it.manifestUrl, { until: 10 })).end, 'left');
  await it.registry.log.until((log) => log.requests.every((record) => record.done));
  assert.equal(it.registry.log.errors.length, 1);
});
