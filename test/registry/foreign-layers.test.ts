/** Layers that their registry does not keep: the image says where they are. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { startRegistry } from '../../src/testing/testing.js';
import { big } from '../support/fault-case.js';

interface Place {
  readonly repository: RegistryRepository;
  readonly url: string;
  readonly seen: readonly IncomingMessage[];
}

async function serve(t: TestContext, cutFirst = false): Promise<Place> {
  const users = { user: 'secret' };
  const registry = await startRegistry({ auth: { kind: 'basic', users } });
  t.after(() => registry.close());
  registry.content.repository('app');
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start > 0) response.setHeader('content-range', `bytes ${start}-${big.blob.length - 1}/${big.blob.length}`);
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': big.blob.length - start });
    if (cutFirst && seen.length === 1) response.write(big.blob.subarray(0, 100_000), () => response.destroy());
    else response.end(big.blob.subarray(start));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const credential = { username: 'user', password: 'secret' };
  const repository = createRepository(`${registry.host}/app`, {
    credentials: { credential: async () => ({ credential, source: 'the test' }) },
    headers: { 'x-key': 'secret' },
    retry: 1,
    timeoutMs: 500,
  });
  return { repository, seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/layer` };
}

async function read(repository: RegistryRepository, target: Descriptor): Promise<Buffer> {
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

test('a broken connection goes on there by Range', async (t) => {
  const { repository, url, seen } = await serve(t, true);
  assert.deepEqual(await read(repository, { ...big.descriptor, urls: [url] }), big.blob);
  assert.deepEqual(
    seen.map(({ headers }) => headers.range),
    [undefined, 'bytes=100000-'],
  );
});

test('without URLs that can be asked, the layer is not found', async (t) => {
  const { repository } = await serve(t);
  await assert.rejects(read(repository, { ...big.descriptor, urls: ['file:///etc/passwd'] }), {
    code: 'ERR_NOT_FOUND',
  });
  await assert.rejects(read(repository, big.descriptor), { code: 'ERR_NOT_FOUND' });
});
