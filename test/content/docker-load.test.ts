import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { loadIntoEngine } from '../../src/content/docker-load.js';
import { MemoryStore } from '../../src/content/memory.js';
import { openDestination } from '../../src/open-destination.js';
import { dockerArchive } from '../support/archives.js';
import { fakeEngine } from '../support/fake-engine.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage } from './target-contract.js';

const PLACE = 'docker-daemon:example/app:v1';
const archive = dockerArchive([{ built: contractImage() }]);

const writeArchive = async (write: (chunk: Uint8Array) => Promise<void>): Promise<string> => {
  for (let at = 0; at < archive.length; at += 1000) await write(archive.subarray(at, at + 1000));
  return 'made';
};

test('an archive is loaded as it was made, and what the engine says of it is no failure', async (t) => {
  const asked: (string | undefined)[] = [];
  let got = Buffer.alloc(0);
  const host = await fakeEngine(t, async (request, response) => {
    asked.push(request.method, request.url, request.headers['content-type']);
    got = await buffer(request);
    response.end('{"stream":"Loading"}\r\nno JSON\r\n{"stream":"Loaded image: example/app:v1"}\r\n');
  });
  assert.equal(await loadIntoEngine(PLACE, writeArchive, { host }), 'made');
  assert.deepEqual(asked, ['POST', '/images/load?quiet=1', 'application/x-tar']);
  assert.deepEqual(got, archive);
});

const REFUSALS: readonly (readonly [what: string, load: RequestListener, code: string, message: RegExp])[] = [
  [
    'a status',
    (request, response) => void request.resume().on('end', () => response.writeHead(500).end('{"message":"no room"}')),
    'ERR_REGISTRY',
    /^docker-daemon:example\/app:v1: the engine answered with status 500 \(no room\)/,
  ],
  [
    'a status before it has read anything',
    (_, response) => response.writeHead(409).end('{"message":"not now"}'),
    'ERR_REGISTRY',
    /status 409 \(not now\)/,
  ],
  [
    'words of a plugin or a proxy that allows no images',
    (_, response) => response.writeHead(403).end('<html>Forbidden'),
    'ERR_DENIED',
    /^docker-daemon:example\/app:v1: unix:.* does not allow POST \/images\/load: status 403; ask/,
  ],
  ...(
    [
      ['{"errorDetail":{"code":5,"message":"bad layer"}}\n', /did not load it \(bad layer\)/],
      ['{"stream":"a}"}{"errorDetail":{"message":"x"},"error":"bad layer"}', /did not load it \(bad layer\)/],
      ['{"errorDetail":{}}\n', /did not load it \(it does not say why\)/],
    ] as const
  ).map(
    ([text, message]) =>
      [
        `an error in its other forms: ${text.trim()}`,
        (request, response) => void request.resume().on('end', () => response.end(text)),
        'ERR_REGISTRY',
        message,
      ] satisfies (typeof REFUSALS)[number],
  ),
  [
    'an error under status 200',
    (request, response) =>
      void request.resume().on('end', () => response.end('{"errorDetail":{"message":"x"},"error":"bad layer"}\n')),
    'ERR_REGISTRY',
    /did not load it \(bad layer\)/,
  ],
  [
    'endless words',
    (request, response) => void request.resume().on('end', () => response.end('x'.repeat(1024 * 1024 + 1))),
    'ERR_LIMIT_EXCEEDED',
    /docker-daemon:example\/app:v1/,
  ],
  [
    'a 404 in the form of engines',
    (request, response) =>
      void request.resume().on('end', () => response.writeHead(404).end('{"message":"page not found"}')),
    'ERR_REGISTRY',
    /status 404 \(page not found\)/,
  ],
  ['a hung up connection', (request) => request.socket.destroy(), 'ERR_NETWORK', /is the engine running there/],
];

for (const [what, load, code, message] of REFUSALS) {
  test(`an engine that refuses with ${what}`, async (t) => {
    const host = await fakeEngine(t, load);
    await assert.rejects(loadIntoEngine(PLACE, writeArchive, { host }), { code, message });
  });
}

test('an engine that ends its answer before it has taken all is no success, and nothing waits for it', async (t) => {
  const endless = async (write: (chunk: Uint8Array) => Promise<void>): Promise<never> => {
    for (;;) await write(Buffer.alloc(100_000));
  };
  for (const hangsUp of [true, false]) {
    const host = await fakeEngine(t, ({ socket }) => {
      const words = '{"stream":"Loaded"}\n';
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${words.length}\r\nconnection: close\r\n\r\n${words}`, () => {
        if (hangsUp) socket.destroy();
      });
    });
    await assert.rejects(loadIntoEngine(PLACE, endless, { host }), {
      code: 'ERR_REGISTRY',
      message: /ended its answer before it had taken the whole archive/,
    });
  }
});

test('nothing is made where no engine answers', async (t) => {
  const never = (): Promise<never> => assert.fail('it was asked to make an archive');
  const nobody = `unix://${join(tempDir(t), 'nobody.sock')}`;
  await assert.rejects(loadIntoEngine(PLACE, never, { host: nobody }), { code: 'ERR_NETWORK' });
  const odd = (_: IncomingMessage, response: ServerResponse): void => void response.writeHead(500).end();
  const host = await fakeEngine(t, () => assert.fail('it was asked to load'), odd);
  await assert.rejects(loadIntoEngine(PLACE, never, { host }), { code: 'ERR_REGISTRY' });
  await assert.rejects(loadIntoEngine(PLACE, never, { host: 'ssh://host' }), { code: 'ERR_OPTION_INVALID' });
});

test('an engine that takes no more bytes ends in ERR_TIMEOUT, and so does one that answers no ping', async (t) => {
  const deaf = await fakeEngine(t, () => {});
  const endless = async (write: (chunk: Uint8Array) => Promise<void>): Promise<never> => {
    for (;;) await write(Buffer.alloc(100_000));
  };
  const silence = { code: 'ERR_TIMEOUT', message: /^docker-daemon:example\/app:v1: unix:.* silent for 150 ms; / };
  await assert.rejects(loadIntoEngine(PLACE, endless, { host: deaf, timeoutMs: 150 }), silence);
  const never = (): Promise<never> => assert.fail('it was asked to make an archive');
  const mute = await fakeEngine(t, never, () => {});
  await assert.rejects(loadIntoEngine(PLACE, never, { host: mute, timeoutMs: 150 }), silence);
});

test('what comes slowly from here, and what an engine needs to load, is no silence', async (t) => {
  const host = await fakeEngine(t, async (request, response) => {
    await buffer(request);
    await delay(400);
    response.write('{"stream":"Loading"}\n');
    await delay(400);
    response.end('{"stream":"Loaded"}\n');
  });
  const slowly = async (write: (chunk: Uint8Array) => Promise<void>): Promise<string> => {
    await write(archive.subarray(0, 1000));
    await delay(400);
    await write(archive.subarray(1000));
    return 'made';
  };
  assert.equal(await loadIntoEngine(PLACE, slowly, { host, timeoutMs: 150 }), 'made');
});

test('what the maker fails with, and an abort, end the request in the middle and come out as they are', async (t) => {
  const whole: boolean[] = [];
  const host = await fakeEngine(t, (request) => void request.resume().on('close', () => whole.push(request.complete)));
  const failure = new Error('the source failed');
  const failing = async (write: (chunk: Uint8Array) => Promise<void>): Promise<never> => {
    await write(archive.subarray(0, 1000));
    throw failure;
  };
  await assert.rejects(loadIntoEngine(PLACE, failing, { host }), (error) => error === failure);
  const controller = new AbortController();
  const reason = new Error('enough');
  const stopping = async (write: (chunk: Uint8Array) => Promise<void>): Promise<never> => {
    await write(archive.subarray(0, 1000));
    controller.abort(reason);
    for (;;) await write(archive.subarray(0, 1000));
  };
  const { signal } = controller;
  await assert.rejects(loadIntoEngine(PLACE, stopping, { host, signal }), (error) => error === reason);
  assert.ok(!whole.includes(true));
});

test('docker-daemon: as a destination: one image under its name, all tags under theirs', async (t) => {
  const folder = tempDir(t);
  const names: string[] = [];
  const host = await fakeEngine(t, async (request, response) => {
    const file = join(folder, `${names.length}.tar`);
    writeFileSync(file, await buffer(request));
    const loaded = await DockerArchive.open(file);
    for await (const name of loaded.tags()) names.push(name);
    response.end();
  });
  const before = process.env['DOCKER_HOST'];
  process.env['DOCKER_HOST'] = host;
  t.after(() => {
    if (before === undefined) delete process.env['DOCKER_HOST'];
    else process.env['DOCKER_HOST'] = before;
  });
  const built = contractImage();
  const store = new MemoryStore();
  for (const [digest, bytes] of built.blobs) {
    await store.push(
      { mediaType: built.documents.get(digest) ?? 'x/y', digest, size: bytes.length },
      (async function* () {
        yield bytes;
      })(),
    );
  }
  for (const tag of ['v1', 'v2']) await store.tag(built.descriptor, tag);
  const one = await openDestination('docker-daemon:example/app');
  assert.equal(one.name, 'docker-daemon:example/app');
  const { descriptor } = await one.copyFrom(store, 'v1');
  assert.equal(descriptor.digest, built.descriptor.digest);
  assert.deepEqual(names.splice(0), ['example/app:latest']);
  const all = await one.copyAllFrom(store);
  assert.deepEqual(
    all.map(({ tag, destination }) => [tag, destination]),
    ['v1', 'v2'].map((tag) => [tag, `docker-daemon:docker.io/example/app:${tag}`]),
  );
  assert.deepEqual(names, ['example/app:v1', 'example/app:v2']);
  for (const bad of ['', `example/app@${built.descriptor.digest}`, 'example/App']) {
    await assert.rejects(openDestination(`docker-daemon:${bad}`), { code: 'ERR_REFERENCE_INVALID' });
  }
});
