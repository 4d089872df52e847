import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDockerDaemon } from '../../src/content/docker-daemon.js';
import { closedPort } from '../../src/testing/testing.js';
import { dockerArchive } from '../support/archives.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, readContract } from './target-contract.js';

/** Something that answers like an engine, on a socket in a folder of its own. */
async function engine(t: TestContext, listener: RequestListener): Promise<string> {
  const path = join(tempDir(t), 'engine.sock');
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `unix://${path}`;
}

readContract('docker-daemon', async (t, built) => {
  const asked: (string | undefined)[] = [];
  const host = await engine(t, (request, response) => {
    asked.push(request.url);
    response.end(dockerArchive([{ built }]));
  });
  const target = await openDockerDaemon('registry.example:5000/example/app:v1', { host });
  t.after(() => target.close());
  assert.deepEqual(asked, ['/images/registry.example:5000/example/app:v1/get']);
  return { target, reference: '' };
});

test('the name by which an engine was asked is kept, in full; an image without one has none', async (t) => {
  for (const [tags, full] of [
    [['foo:1'], 'docker.io/library/foo:1'],
    [['localhost/foo:1'], 'localhost/foo:1'],
    [null, undefined],
  ] as const) {
    const host = await engine(t, (_, response) => response.end(dockerArchive([{ built: contractImage(), tags }])));
    const archive = await openDockerDaemon('foo:1', { host });
    t.after(() => archive.close());
    assert.equal((await archive.keptName(''))?.full, full);
  }
});

test('over TCP, and with a name that needs care', async (t) => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end(dockerArchive([{ built: contractImage() }]));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const temporaryFolder = tempDir(t);
  const archive = await openDockerDaemon('a?b#c/../d', { host: `tcp://127.0.0.1:${port}`, temporaryFolder });
  assert.deepEqual(asked, ['/images/a%3Fb%23c/../d/get']);
  await archive.close();
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('no such image, another refusal, an answer that is no archive, one that breaks off', async (t) => {
  const temporaryFolder = tempDir(t);
  const cases: [RequestListener, string, RegExp][] = [
    [
      (_, response) => response.writeHead(404).end('{"message":"No such image"}'),
      'ERR_NOT_FOUND',
      /^docker-daemon:x: /,
    ],
    [
      (_, response) => response.writeHead(500).end('{"message":"disk on fire"}'),
      'ERR_REGISTRY',
      /500 \(disk on fire\)/,
    ],
    [(_, response) => response.writeHead(500).end('x'.repeat(200_000)), 'ERR_REGISTRY', /500;/],
    [(_, response) => response.end('not a tar'), 'ERR_ARCHIVE_INVALID', /docker-daemon:x/],
    [
      (_, response) => {
        response.writeHead(200, { 'content-length': '100000' });
        response.write(Buffer.alloc(1000), () => response.destroy());
      },
      'ERR_NETWORK',
      /no answer from unix/,
    ],
  ];
  for (const [listener, code, message] of cases) {
    const host = await engine(t, listener);
    await assert.rejects(openDockerDaemon('x', { host, temporaryFolder }), { code, message });
    assert.deepEqual(readdirSync(temporaryFolder), []);
  }
});

test('no engine there, and hosts of another kind', async (t) => {
  await assert.rejects(openDockerDaemon('x', { host: `unix://${tempDir(t)}/none.sock` }), {
    code: 'ERR_NETWORK',
    message: /is the engine running/,
  });
  await assert.rejects(openDockerDaemon('x', { host: `tcp://127.0.0.1:${await closedPort()}` }), {
    code: 'ERR_NETWORK',
  });
  for (const host of ['ssh://me@there', 'unix://relative', 'npipe:////./pipe/docker', '']) {
    await assert.rejects(
      openDockerDaemon('x', { host }),
      { code: 'ERR_OPTION_INVALID', message: /^DOCKER_HOST: / },
      host,
    );
  }
  await assert.rejects(openDockerDaemon(''), { code: 'ERR_REFERENCE_INVALID' });
});

test("an abort ends the wait and the copying with the caller's own reason", async (t) => {
  const temporaryFolder = tempDir(t);
  for (const head of [false, true]) {
    const controller = new AbortController();
    const reason = new Error('enough');
    const host = await engine(t, (_, response) => {
      if (head) response.write(Buffer.alloc(5000), () => controller.abort(reason));
      else controller.abort(reason);
    });
    await assert.rejects(
      openDockerDaemon('x', { host, signal: controller.signal, temporaryFolder }),
      (error) => error === reason,
    );
    assert.deepEqual(readdirSync(temporaryFolder), []);
  }
});
