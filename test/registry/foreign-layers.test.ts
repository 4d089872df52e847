/** Layers that their registry does not keep: the image says where they are. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Fetcher } from '../../src/content/content.js';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import { openSource } from '../../src/open.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { image, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { big } from '../support/fault-case.js';
import { listen } from '../support/listen.js';
import { rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

interface Place {
  readonly repository: RegistryRepository;
  readonly url: string;
  readonly seen: readonly IncomingMessage[];
}

/** Somebody else's server with `big` on it. */
async function serveLayer(t: TestContext, cutFirst: boolean): Promise<Omit<Place, 'repository'>> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start > 0) response.setHeader('content-range', `bytes ${start}-${big.blob.length - 1}/${big.blob.length}`);
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': big.blob.length - start });
    if (cutFirst && seen.length === 1) response.write(big.blob.subarray(0, 100_000), () => response.destroy());
    else response.end(big.blob.subarray(start));
  });
  return { seen, url: `http://${await listen(t, server)}/layer` };
}

async function serve(t: TestContext, cutFirst = false): Promise<Place> {
  const users = { user: 'secret' };
  const registry = await startRegistry({ auth: { kind: 'basic', users } });
  t.after(() => registry.close());
  registry.content.repository('app');
  const credential = { username: 'user', password: 'secret' };
  const repository = createRepository(`${registry.host}/app`, {
    credentials: { credential: async () => ({ credential, source: 'the test' }) },
    headers: { 'x-key': 'secret' },
    retry: 1,
    timeoutMs: 500,
  });
  return { repository, ...(await serveLayer(t, cutFirst)) };
}

async function read(repository: Fetcher, target: Descriptor): Promise<Buffer> {
  return Buffer.concat(await (await fetchVerified(repository, target)).toArray());
}

test('the registry is asked first, then the URLs in order, as nobody', async (t) => {
  const { repository, url, seen } = await serve(t);
  const urls = ['ftp://nowhere/x', 'not a url', 'http://user:password@127.0.0.1/', 'http://127.0.0.1:1/', url];
  assert.deepEqual(await read(repository, { ...big.descriptor, urls }), big.blob);
  assert.equal(seen.length, 1);
  assert.equal(seen[0]?.headers.authorization, undefined);
  assert.equal(seen[0]?.headers['x-key'], undefined);
});

test('a registry that gives nothing but refusals is one that does not have it; where the URLs fail too, it has the word', async (t) => {
  const { url, seen } = await serveLayer(t, false);
  const registry = await startRegistry();
  t.after(() => registry.close());
  const repository = createRepository(`${registry.host}/app`, { retry: 0, timeoutMs: 500 });
  for (const [status, code] of [
    [403, 'ERR_DENIED'],
    [500, 'ERR_REGISTRY'],
  ] as const) {
    registry.clearFaults();
    registry.fault({ on: 'blob', do: 'answer', status });
    assert.deepEqual(await read(repository, { ...big.descriptor, urls: [url] }), big.blob);
    await assert.rejects(read(repository, { ...big.descriptor, urls: ['http://127.0.0.1:1/'] }), { code });
  }
  assert.equal(seen.length, 2);
});

test('ten URLs of a layer are asked, and not one more', async (t) => {
  const { repository, url, seen } = await serve(t);
  const dead = (count: number): string[] => Array.from({ length: count }, (_, i) => `http://127.0.0.1:1/${i}`);
  assert.deepEqual(await read(repository, { ...big.descriptor, urls: [...dead(9), url] }), big.blob);
  assert.equal(seen.length, 1);
  await assert.rejects(read(repository, { ...big.descriptor, urls: [...dead(10), url] }), { code: 'ERR_NETWORK' });
  assert.equal(seen.length, 1);
});

test('a broken connection goes on there by Range', async (t) => {
  const { repository, url, seen } = await serve(t, true);
  assert.deepEqual(await read(repository, { ...big.descriptor, urls: [url] }), big.blob);
  assert.deepEqual(
    seen.map(({ headers }) => headers.range),
    [undefined, 'bytes=100000-'],
  );
});

test('a URL that breaks off each time is left for the next one', async (t) => {
  const { repository, url, seen } = await serve(t);
  const stuck = createServer((_, response) => {
    response.writeHead(200, { 'content-length': big.blob.length });
    response.write(big.blob.subarray(0, 100), () => response.destroy());
  });
  const first = `http://${await listen(t, stuck)}/layer`;
  assert.ok((await read(repository, { ...big.descriptor, urls: [first, url] })).equals(big.blob));
  assert.equal(seen[0]?.headers.range, 'bytes=100-');
});

test('without URLs that can be asked, the layer is not found', async (t) => {
  const { repository } = await serve(t);
  await assert.rejects(read(repository, { ...big.descriptor, urls: ['file:///etc/passwd'] }), {
    code: 'ERR_NOT_FOUND',
  });
  await assert.rejects(read(repository, big.descriptor), { code: 'ERR_NOT_FOUND' });
});

test('a layout and an archive that lack the layer ask its URLs, and nobody when that is not wanted', async (t) => {
  const { url, seen } = await serveLayer(t, true);
  const folder = tempDir(t);
  const layout = join(folder, 'layout');
  await writeLayout(layout, {
    v1: image()
      .layer((layer) => layer.file('x', 'y'))
      .build(),
  });
  execFileSync('tar', ['-C', layout, '-cf', join(folder, 'oci.tar'), '.']);
  const target = { ...big.descriptor, urls: [url] };
  for (const place of [`oci:${layout}`, `oci-archive:${join(folder, 'oci.tar')}`]) {
    const opened = await openSource(place, { retry: 1 });
    assert.deepEqual(await read(opened.source, target), big.blob);
    await assert.rejects(read(opened.source, { ...target, urls: ['file:///etc/passwd'] }), {
      code: 'ERR_NOT_FOUND',
      message: /no such blob in/,
    });
    await opened.close();
  }
  const gone = createServer((_, response) => response.writeHead(404).end());
  const host = await listen(t, gone);
  const layoutAlone = await openSource(`oci:${layout}`, { retry: 1 });
  await assert.rejects(read(layoutAlone.source, { ...target, urls: [`http://${host}/layer`] }), {
    code: 'ERR_NOT_FOUND',
    message: new RegExp(`^${layout}@sha256:.*: no such blob there, nor at ${host}, where`),
  });
  assert.deepEqual(
    seen.map(({ headers }) => headers.range),
    [undefined, 'bytes=100000-', undefined],
  );
  const alone = await openSource(`oci:${layout}`, { askUrls: false });
  await assert.rejects(read(alone.source, target), { code: 'ERR_NOT_FOUND' });
  assert.equal(seen.length, 3);
});

test('a layout that another tool left without its foreign layer is extracted, and not under --offline', async (t) => {
  const { url } = await serveLayer(t, false);
  const folder = tempDir(t);
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar';
  const built = image()
    .layer(big.tar, { mediaType, urls: [url], compression: 'none' })
    .build();
  await writeLayout(join(folder, 'layout'), { v1: built });
  rmSync(join(folder, 'layout/blobs', big.descriptor.digest.replace(':', '/')));
  const store = join(folder, 'store');
  const extract = ['extract', '-q', '--dst', store, `oci:${join(folder, 'layout')}:v1`];
  const offline = await rootfs([...extract, '--offline']);
  assert.equal(offline.code, 3, offline.stderr);
  const { code, stderr } = await rootfs(extract);
  assert.equal(code, 0, stderr);
  assert.deepEqual(readFileSync(join(store, 'sha256', big.diffId.slice(7))), big.tar);
});
