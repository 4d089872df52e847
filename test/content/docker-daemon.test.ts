import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openDockerDaemon } from '../../src/content/docker-daemon.js';
import { unreachable } from '../../src/content/docker-engine.js';
import type { RootfsError } from '../../src/errors.js';
import { openDestination } from '../../src/open-destination.js';
import { closedPort, writeLayout } from '../../src/testing/testing.js';
import { dockerArchive } from '../support/archives.js';
import { fakeEngine } from '../support/fake-engine.js';
import { listen } from '../support/listen.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, readContract } from './target-contract.js';

readContract('docker-daemon', async (t, built) => {
  const asked: (string | undefined)[] = [];
  const host = await fakeEngine(t, (request, response) => {
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
    const host = await fakeEngine(t, (_, response) => response.end(dockerArchive([{ built: contractImage(), tags }])));
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
  const host = await listen(t, server);
  const temporaryFolder = tempDir(t);
  const archive = await openDockerDaemon('a?b#c/../d', { host: `tcp://${host}`, temporaryFolder });
  assert.deepEqual(asked, ['/_ping', '/images/a%3Fb%23c/../d/get']);
  await archive.close();
  assert.deepEqual(readdirSync(temporaryFolder), []);
});

test('a name alone means latest; a tag, a digest, an id, and what is no name go out as they are', async (t) => {
  const asked: (string | undefined)[] = [];
  const host = await fakeEngine(t, (request, response) => {
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

test('of all tags, an engine is asked for those that it lists', async (t) => {
  const asked: (string | undefined)[] = [];
  const names = ['localhost:5000/app:v1', 'localhost:5000/app:v2'];
  const host = await fakeEngine(t, (request, response) => {
    asked.push(request.url);
    if (request.url?.startsWith('/images/json') === true) {
      // As podman does: an image with all its names, whatever they are, and images without one.
      const others = ['localhost:5000/other/app:v1', 'app:v1', '<none>:<none>', 7];
      response.end(
        JSON.stringify([{ RepoTags: [names[0], ...others] }, { RepoTags: null }, { RepoTags: names }, null]),
      );
    } else response.end(dockerArchive([{ built: contractImage(), tags: names }]));
  });
  const archive = await openDockerDaemon('localhost:5000/app', { host, allTags: true });
  const found: string[] = [];
  for await (const tag of archive.tags()) found.push(tag);
  await archive.close();
  assert.deepEqual(found, names);
  assert.deepEqual(asked, [
    `/images/json?filters=${encodeURIComponent('{"reference":["localhost:5000/app"]}')}`,
    `/images/get?${names.map((name) => `names=${encodeURIComponent(name)}`).join('&')}`,
  ]);
});

test('of all tags, an engine without a list is asked for the name alone', async (t) => {
  const asked: (string | undefined)[] = [];
  const names = ['docker.io/example/app:v1', 'docker.io/example/app:v2'];
  const host = await fakeEngine(t, (request, response) => {
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
  const list = `/images/json?filters=${encodeURIComponent('{"reference":["example/app"]}')}`;
  assert.deepEqual(asked.splice(0), Array(4).fill([list, '/images/example/app/get']).flat());
  await run('digest', 'docker-daemon:example/app');
  assert.deepEqual(asked, ['/images/example/app:latest/get']);
  const words = ['copy', '--all-tags', 'docker-daemon:example/app', `oci:${join(folder, 'told')}`];
  const { stderr } = await runRootfs(words, { env: { DOCKER_HOST: host } });
  for (const name of names) assert.match(stderr, new RegExp(`^rootfs: docker-daemon:${name} is sha256:`, 'm'));
});

test('half a character is refused before an engine is asked', async (t) => {
  const host = await fakeEngine(t, () => assert.fail('it was asked'));
  await assert.rejects(openDockerDaemon('app\ud800', { host }), { code: 'ERR_REFERENCE_INVALID' });
});

test('scratch is no image of an engine either', async (t) => {
  const host = await fakeEngine(t, () => assert.fail('it was asked'));
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
      (_, response) => response.writeHead(404).end('{"cause":"no","message":"No such image: x:latest"}'),
      'ERR_NOT_FOUND',
      /^docker-daemon:x: the engine has no such image \(No such image: x:latest\); pull it/,
    ],
    [
      (_, response) => response.writeHead(404).end('<h1>Not found</h1>'),
      'ERR_REGISTRY',
      /^docker-daemon:x: what answers at unix:.* is no Docker Engine: it knows no \/images\/x:latest\/get; DOCKER_HOST/,
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
    const host = await fakeEngine(t, listener);
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
  const ports = ['tcp://there:0', 'tcp://there:65536', 'tcp://there:99999'];
  for (const host of ['ssh://me@there', 'unix://relative', 'npipe:////./pipe/docker', '', ...ports]) {
    await assert.rejects(
      openDockerDaemon('x', { host }),
      { code: 'ERR_OPTION_INVALID', message: /^DOCKER_HOST: / },
      host,
    );
  }
  await assert.rejects(openDockerDaemon(''), { code: 'ERR_REFERENCE_INVALID' });
});

test('an engine that Node does not allow to be asked', () => {
  // As Node 26 makes it, under --permission.
  const refused = Object.assign(new Error('connect ERR_ACCESS_DENIED.'), { code: 'ERR_ACCESS_DENIED' });
  assert.equal(unreachable(refused, 'unix:///x', 'docker-daemon:app').code, 'ERR_PERMISSION');
});

test('a password in DOCKER_HOST is not shown', async () => {
  for (const host of ['ssh://me:pass@word@there', 'tcp://me:pass@word@there:2375']) {
    await assert.rejects(openDockerDaemon('x', { host }), (error: RootfsError) => {
      assert.equal(error.code, 'ERR_OPTION_INVALID');
      assert.doesNotMatch(JSON.stringify([error.message, error.detail]), /pass|word/);
      return true;
    });
  }
});

test('an engine that wants TLS is not spoken to in the clear', async (t) => {
  const before = { ...process.env };
  const clear = (): void => {
    for (const name of ['DOCKER_HOST', 'DOCKER_TLS_VERIFY', 'DOCKER_TLS']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  };
  t.after(clear);
  for (const name of ['DOCKER_TLS_VERIFY', 'DOCKER_TLS']) {
    clear();
    process.env['DOCKER_HOST'] = `tcp://127.0.0.1:${await closedPort()}`;
    process.env[name] = '1';
    await assert.rejects(openDockerDaemon('x'), {
      code: 'ERR_OPTION_INVALID',
      message: new RegExp(`${name} wants TLS`),
    });
    // A socket has no TLS, and Docker's own command speaks none there.
    process.env['DOCKER_HOST'] = `unix://${tempDir(t)}/none.sock`;
    await assert.rejects(openDockerDaemon('x'), { code: 'ERR_NETWORK' });
  }
});

test("an abort ends the wait and the copying with the caller's own reason", async (t) => {
  const temporaryFolder = tempDir(t);
  for (const head of [false, true]) {
    const controller = new AbortController();
    const reason = new Error('enough');
    const host = await fakeEngine(t, (_, response) => {
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

test('an abort is heard from the first moment on', { timeout: 20_000 }, async (t) => {
  const host = await fakeEngine(
    t,
    () => assert.fail('it was asked for an image'),
    () => {},
  );
  const controller = new AbortController();
  const reason = new Error('enough');
  const waiting = openDockerDaemon('x', { host, signal: controller.signal, timeoutMs: 60_000 });
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
});

test('what knows no ping is no engine, whatever it says', async (t) => {
  for (const body of ['404 page not found', '{"message":"Not Found"}']) {
    const host = await fakeEngine(
      t,
      () => assert.fail('it was asked for an image'),
      (_, response) => response.writeHead(404).end(body),
    );
    const refusal = { code: 'ERR_REGISTRY', message: /^docker-daemon:x: what answers at unix:.* is no Docker Engine/ };
    await assert.rejects(openDockerDaemon('x', { host }), refusal);
  }
});

test('a silent engine ends in ERR_TIMEOUT: before it answers a ping, and in the middle of an image', async (t) => {
  const temporaryFolder = tempDir(t);
  for (const host of [
    await fakeEngine(
      t,
      () => assert.fail('it was asked for an image'),
      () => {},
    ),
    await fakeEngine(t, (_, response) => response.write(Buffer.alloc(5000))),
  ]) {
    await assert.rejects(openDockerDaemon('x', { host, timeoutMs: 150, temporaryFolder }), {
      code: 'ERR_TIMEOUT',
      message: /^docker-daemon:x: unix:.* has been silent for 150 ms; .* allow a longer --timeout$/,
    });
    assert.deepEqual(readdirSync(temporaryFolder), []);
  }
  const mute = await fakeEngine(t, (_, response) => response.writeHead(500).write('{"mess'));
  await assert.rejects(openDockerDaemon('x', { host: mute, timeoutMs: 150 }), {
    code: 'ERR_REGISTRY',
    message: /500;/,
  });
  for (const timeoutMs of [0, 1.5, Number.NaN, 2 ** 31]) {
    const refusal = { code: 'ERR_OPTION_INVALID', message: /^timeoutMs: / };
    await assert.rejects(openDockerDaemon('x', { host: mute, timeoutMs }), refusal, String(timeoutMs));
  }
});

test('an engine may gather an image for longer than it may be silent, and be slow as long as it moves', async (t) => {
  const bytes = dockerArchive([{ built: contractImage() }]);
  const host = await fakeEngine(t, async (_, response) => {
    await delay(500);
    const piece = Math.ceil(bytes.length / 6);
    for (let at = 0; at < bytes.length; at += piece) {
      response.write(bytes.subarray(at, at + piece));
      await delay(100);
    }
    response.end();
  });
  const archive = await openDockerDaemon('x', { host, timeoutMs: 300, temporaryFolder: tempDir(t) });
  assert.ok(await archive.resolve(''));
  await archive.close();
});

test('--timeout is for engines too, to read and to load', async (t) => {
  const host = await fakeEngine(
    t,
    () => assert.fail('it was asked for more'),
    () => {},
  );
  const layout = join(tempDir(t), 'layout');
  await writeLayout(layout, { v1: contractImage() });
  for (const words of [
    ['inspect', 'docker-daemon:x:1'],
    ['copy', `oci:${layout}:v1`, 'docker-daemon:x'],
  ]) {
    const { code, stderr } = await runRootfs([...words, '--timeout', '200ms'], { env: { DOCKER_HOST: host } });
    assert.equal(code, 6, stderr);
    assert.match(stderr, /has been silent for 200 ms; .*\[ERR_TIMEOUT\]/);
  }
});
