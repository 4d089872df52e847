import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDockerDaemon } from '../../src/content/docker-daemon.js';
import { openDestination } from '../../src/open-destination.js';
import { closedPort } from '../../src/testing/testing.js';
import { dockerArchive } from '../support/archives.js';
import { runRootfs } from '../support/run-rootfs.js';
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

test('a name alone means latest; a tag, a digest, an id, and what is no name go out as they are', async (t) => {
  const asked: (string | undefined)[] = [];
  const host = await engine(t, (request, response) => {
    asked.push(request.url);
    response.end(dockerArchive([{ built: contractImage() }]));
  });
  const id = 'c0ffee'.repeat(10);
  for (const [reference, image, allTags] of [
    ['app', 'app:latest'],
    ['registry.example:5000/app', 'registry.example:5000/app:latest'],
    ['app:v1', 'app:v1'],
    [`app@sha256:${id}beef`, `app@sha256:${id}beef`],
    [id.slice(0, 12), id.slice(0, 12)],
    [`${id}beef`, `${id}beef`],
    [`sha256:${id}beef`, `sha256:${id}beef`],
    ['c0ffee', 'c0ffee:latest'],
    ['App', 'App'],
    ['app', 'app', true],
    ['app:v1', 'app:v1', true],
  ] as const) {
    await (await openDockerDaemon(reference, { host, allTags })).close();
    assert.equal(asked.pop(), `/images/${image}/get`, reference);
  }
});

test('of all tags, an engine is asked for the name alone', async (t) => {
  const asked: (string | undefined)[] = [];
  const names = ['docker.io/example/app:v1', 'docker.io/example/app:v2'];
  const host = await engine(t, (request, response) => {
    asked.push(request.url);
    response.end(dockerArchive([{ built: contractImage(), tags: names }]));
  });
  const folder = tempDir(t);
  const run = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await runRootfs([...words, '-q'], { env: { DOCKER_HOST: host } });
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  assert.equal(await run('tags', 'docker-daemon:example/app'), `${names.join('\n')}\n`);
  assert.match(await run('instances', 'docker-daemon:example/app'), /app:v1 .*app:v2/);
  await run('copy', '--all-tags', 'docker-daemon:example/app', `oci:${join(folder, 'copied')}`);
  await run('pull', '--all-tags', 'docker-daemon:example/app', '-o', join(folder, 'pulled.tar'));
  assert.deepEqual(asked.splice(0), Array(4).fill('/images/example/app/get'));
  await run('digest', 'docker-daemon:example/app');
  assert.deepEqual(asked, ['/images/example/app:latest/get']);
});

test('scratch is no image of an engine either', async (t) => {
  const host = await engine(t, () => assert.fail('it was asked'));
  for (const reference of ['scratch', 'scratch:v1', 'docker.io/library/scratch']) {
    const refusal = { code: 'ERR_REFERENCE_INVALID', message: /^docker-daemon:.*scratch is a reserved name/ } as const;
    await assert.rejects(openDockerDaemon(reference, { host }), refusal);
    await assert.rejects(openDockerDaemon(reference, { host, allTags: true }), refusal);
    await assert.rejects(openDestination(`docker-daemon:${reference}`), refusal);
  }
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
