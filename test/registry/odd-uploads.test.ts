/** Uploads at registries that count otherwise, lose what they held, or refuse what somebody else has brought. */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createRepository } from '../../src/registry/repository.js';
import { closedPort } from '../../src/testing/listen.js';
import { digestOf } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';
import {
  type ScriptedAnswer,
  type ScriptedRegistry,
  type ScriptedRequest,
  scriptedRegistry,
} from '../support/scripted-registry.js';

const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 3));
const digest = digestOf(bytes);
const target = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: bytes.length };

interface Odd {
  /** Stands before the answer; `nth` counts the requests of this method from 1. */
  readonly instead?: (request: ScriptedRequest, nth: number, held: Held) => ScriptedAnswer | 'right';
  /** What `Range` says of so many bytes. */
  readonly range?: (length: number) => string;
  /** Whether PATCH compares its Content-Range with what is held. Default true. */
  readonly compares?: boolean;
}

/** What the registry holds. */
interface Held {
  readonly uploads: Map<string, Buffer>;
  readonly blobs: Map<string, Buffer>;
}

async function odd(t: TestContext, options: Odd): Promise<ScriptedRegistry & { readonly held: Held }> {
  const held: Held = { uploads: new Map(), blobs: new Map() };
  const counts = new Map<string, number>();
  const range = options.range ?? ((length: number) => `0-${Math.max(0, length - 1)}`);
  const registry = await scriptedRegistry(t, (request) => {
    const { method, url, headers, body } = request;
    const nth = (counts.get(method) ?? 0) + 1;
    counts.set(method, nth);
    const instead = options.instead === undefined ? 'right' : options.instead(request, nth, held);
    if (instead !== 'right') return instead;
    const id = url.pathname.split('/').pop() ?? '';
    if (method === 'HEAD') return { status: held.blobs.has(id) ? 200 : 404 };
    if (method === 'POST') {
      held.uploads.set(String(nth), Buffer.alloc(0));
      return { status: 202, headers: { location: `${url.pathname}${nth}` } };
    }
    const before = held.uploads.get(id);
    if (before === undefined) return { status: 404, body: { errors: [{ code: 'BLOB_UPLOAD_UNKNOWN' }] } };
    const state = (length: number): Record<string, string> => ({ location: url.pathname, range: range(length) });
    if (method === 'GET') return { status: 204, headers: state(before.length) };
    if (method === 'DELETE') {
      held.uploads.delete(id);
      return { status: 204 };
    }
    const start = Number(headers['content-range']?.split('-')[0] ?? before.length);
    if (method === 'PATCH' && options.compares !== false && start !== before.length) {
      return { status: 416, headers: state(before.length) };
    }
    const now = Buffer.concat([before, body]);
    held.uploads.set(id, now);
    if (method === 'PATCH') return { status: 202, headers: state(now.length) };
    if (!now.equals(bytes)) return { status: 400, body: { errors: [{ code: 'DIGEST_INVALID' }] } };
    held.blobs.set(digest, now);
    return { status: 201 };
  });
  return Object.assign(registry, { held });
}

/** Pushes the blob in pieces of 100,000 bytes, or in one request. */
async function push({ host }: ScriptedRegistry, uploadChunkBytes: number | undefined = 100_000): Promise<void> {
  const repository = createRepository(`${host}/app`, { timeoutMs: 500, retry: 2, uploadChunkBytes });
  const content = {
    [Symbol.asyncIterator]: async function* () {
      yield bytes;
    },
  };
  await repository.push(target, content);
}

/** Bytes of bodies that came. */
function received({ requests }: ScriptedRegistry): number {
  return requests.reduce((sum, { body }) => sum + body.length, 0);
}

function count({ asked }: ScriptedRegistry, method: string): number {
  return asked.filter((line) => line.startsWith(`${method} `)).length;
}

for (const compares of [true, false]) {
  test(`a registry that counts one byte too many and ${compares ? 'compares' : 'takes what comes'} is not believed twice`, async (t) => {
    const registry = await odd(t, {
      compares,
      range: (length) => `0-${length}`,
      instead: ({ method }, nth) => (method === 'PATCH' && nth === 2 ? { status: 500 } : 'right'),
    });
    await push(registry);
    assert.ok(registry.held.blobs.has(digest));
    assert.equal(count(registry, 'POST'), 2);
  });
}

for (const status of [204, 405] as const) {
  test(`a registry that takes a part of each piece gets the rest (asked where it is: ${status})`, async (t) => {
    let place = 0;
    const registry = await odd(t, {
      instead: ({ method, url, body, headers }, _nth, { uploads }) => {
        if (method === 'GET' && status === 405) return { status };
        if (method !== 'PATCH') return 'right';
        const id = url.pathname.split('/').pop() ?? '';
        const before = uploads.get(id) ?? Buffer.alloc(0);
        // Where an upload goes on may change with each answer.
        if (status === 405 && url.search !== (place === 0 ? '' : `?at=${place}`)) return { status: 400 };
        assert.equal(headers['content-range']?.split('-')[0], String(before.length));
        const now = Buffer.concat([before, body.subarray(0, 60_000)]);
        uploads.set(id, now);
        place += 1;
        return { status: 202, headers: { location: `${url.pathname}?at=${place}`, range: `0-${now.length - 1}` } };
      },
    });
    await push(registry);
    assert.ok(registry.held.blobs.has(digest));
    assert.deepEqual([count(registry, 'POST'), count(registry, 'PATCH')], [1, 5]);
  });
}

for (const [name, broken] of [
  ['is busy', { status: 503 }],
  ['hangs up', undefined],
] as const) {
  test(`an upload is lost, and the registry ${name} when it is begun anew: it is, once more`, async (t) => {
    const registry = await odd(t, {
      instead: ({ method, url }, nth, { uploads }) => {
        if (method === 'PATCH' && nth === 2) uploads.delete(url.pathname.split('/').pop() ?? '');
        return method === 'POST' && nth === 2 ? broken : 'right';
      },
    });
    await push(registry);
    assert.ok(registry.held.blobs.has(digest));
    assert.equal(count(registry, 'POST'), 3);
  });
}

test('an upload that is lost at its end is sent again, once', async (t) => {
  for (const times of [1, 2]) {
    const registry = await odd(t, {
      instead: ({ method }, nth, { uploads }) => {
        if (method === 'PUT' && nth <= times) uploads.clear();
        return 'right';
      },
    });
    if (times === 1) await push(registry);
    else await assert.rejects(push(registry), { code: 'ERR_NOT_FOUND', message: /the upload was not found/ });
    assert.equal(count(registry, 'POST'), 2);
  }
});

for (const status of [400, 404, 409, 500]) {
  for (const piece of [100_000, undefined]) {
    test(`the end is refused with ${status}, and the blob is there (${piece ?? 'one'} request)`, async (t) => {
      const registry = await odd(t, {
        instead: ({ method }, _, { blobs }) => {
          if (method !== 'PUT') return 'right';
          blobs.set(digest, bytes);
          return { status, body: { errors: [{ code: 'BLOB_UPLOAD_INVALID' }] } };
        },
      });
      await push(registry, piece);
      assert.equal(count(registry, 'POST'), 1);
    });
  }
}

for (const [method, nth] of [
  ['PATCH', 3],
  ['PUT', 1],
] as const) {
  for (const code of ['BLOB_UPLOAD_INVALID', 'BLOB_UPLOAD_UNKNOWN']) {
    test(`an upload that the registry lost (400 ${code} to ${method}) starts again, once`, async (t) => {
      for (const times of [1, 2]) {
        let left = times;
        const registry = await odd(t, {
          instead: (request, at) => {
            if (request.method !== method || at < nth || left === 0) return 'right';
            left--;
            return { status: 400, body: { errors: [{ code }] } };
          },
        });
        if (times === 1 || method === 'PATCH') await push(registry);
        else await assert.rejects(push(registry), { code: 'ERR_REGISTRY' });
        assert.equal(registry.held.blobs.has(digest), times === 1 || method === 'PATCH');
        assert.ok(count(registry, 'POST') <= 3);
      }
    });
  }
}

test('a registry that knows no PATCH and calls that an invalid upload is given everything at once', async (t) => {
  const registry = await odd(t, {
    instead: ({ method }) =>
      method === 'PATCH' ? { status: 400, body: { errors: [{ code: 'BLOB_UPLOAD_INVALID' }] } } : 'right',
  });
  await push(registry);
  assert.equal(count(registry, 'PATCH'), 1);
});

test('a registry that finds no upload to add to is given everything at once', async (t) => {
  const registry = await odd(t, {
    instead: ({ method }) => (method === 'PATCH' ? { status: 404, body: { errors: [{ code: 'UNKNOWN' }] } } : 'right'),
  });
  await push(registry);
  assert.ok(registry.held.blobs.has(digest));
  assert.equal(count(registry, 'PUT'), 1);
});

test('the end is refused for its digest: that is the answer', async (t) => {
  const registry = await odd(t, {
    instead: ({ method }) =>
      method === 'PUT' ? { status: 400, body: { errors: [{ code: 'DIGEST_INVALID', message: 'no' }] } } : 'right',
  });
  await assert.rejects(push(registry), { code: 'ERR_DIGEST_MISMATCH' });
  assert.equal(count(registry, 'POST'), 1);
});

test('a registry that never goes on says what is wrong', async (t) => {
  const registry = await odd(t, {
    instead: ({ method }) => (method === 'PATCH' ? { status: 416, headers: { range: '0-9' } } : 'right'),
  });
  await assert.rejects(push(registry), {
    message: /: 127\.0\.0\.1:\d+ holds another part of the upload than it said; push again$/,
  });
});

for (const [ends, answer] of [
  ['ERR_REGISTRY', { status: 500 }],
  ['ERR_REGISTRY', { status: 503, headers: { 'retry-after': '0' } }],
  ['ERR_RATE_LIMITED', { status: 429 }],
  ['ERR_NETWORK', undefined],
] as const) {
  for (const forgets of [true, false]) {
    const name = `the end of an upload always fails (${answer?.status ?? 'hung up on'}), and ${forgets ? 'nothing' : 'the upload'} is there after it`;
    test(`${name}: bounded attempts, bounded bytes`, { timeout: 30_000 }, async (t) => {
      const registry = await odd(t, {
        instead: ({ method }, _, { uploads }) => {
          if (method !== 'PUT') return 'right';
          if (forgets) uploads.clear();
          return answer;
        },
      });
      await assert.rejects(push(registry), { code: ends });
      assert.equal(count(registry, 'PUT'), 3);
      // That there are too many requests says nothing of the upload: only its end is sent again.
      assert.equal(received(registry), bytes.length * (forgets && ends !== 'ERR_RATE_LIMITED' ? 3 : 1));
      assert.ok(count(registry, 'POST') <= 4, registry.asked.join('\n'));
    });
  }
}

for (const piece of [100_000, 400_000]) {
  test(`a registry that takes no two requests at once is waited for (pieces of ${piece})`, async (t) => {
    let free = 0;
    const registry = await odd(t, {
      instead: () => {
        if (performance.now() < free) return { status: 429 };
        free = performance.now() + 60;
        return 'right';
      },
    });
    await push(registry, piece);
    assert.ok(registry.held.blobs.has(digest));
    // Nothing is begun anew, and nobody asks how far it got.
    assert.equal(count(registry, 'GET'), 0);
    assert.equal(registry.held.uploads.size, 1);
  });
}

test('the end of an empty upload that fails for ever ends', { timeout: 20_000 }, async (t) => {
  let puts = 0;
  const registry = await scriptedRegistry(t, ({ method }) => {
    if (method === 'HEAD') return { status: 404 };
    if (method === 'POST') return { status: 202, headers: { location: '/v2/app/blobs/uploads/1' } };
    if (method !== 'PUT') return { status: 204 };
    puts += 1;
    return { status: puts === 1 ? 400 : 503 };
  });
  const nothing = Buffer.alloc(0);
  const empty = { mediaType: target.mediaType, digest: digestOf(nothing), size: 0 };
  const repository = createRepository(`${registry.host}/app`, { retry: 1 });
  await assert.rejects(repository.push(empty, [nothing] as never), { code: 'ERR_REGISTRY', status: 503 });
});

test('the end of an upload fails for a while: it is sent again, and no byte twice', async (t) => {
  const registry = await odd(t, {
    instead: ({ method }, nth) => (method === 'PUT' && nth <= 2 ? { status: 503 } : 'right'),
  });
  await push(registry);
  assert.ok(registry.held.blobs.has(digest));
  assert.equal(received(registry), bytes.length);
  assert.equal(count(registry, 'POST'), 1);
});

test('an upload that is sent on to where nobody listens ends', { timeout: 30_000 }, async (t) => {
  const nowhere = `http://127.0.0.1:${await closedPort()}/upload`;
  const registry = await odd(t, {
    instead: ({ method }) => (method === 'PATCH' ? { status: 202, headers: { location: nowhere } } : 'right'),
  });
  await assert.rejects(push(registry), { code: 'ERR_NETWORK' });
  assert.ok(received(registry) <= bytes.length * 3, registry.asked.join('\n'));
});

test('a push says what was not found: the repository, or what a manifest names', async (t) => {
  const refusing = async (code: string, pushed: typeof target): Promise<string> => {
    const { host } = await scriptedRegistry(t, ({ method }) => ({
      status: 404,
      body: method === 'HEAD' ? '' : { errors: [{ code, message: 'so it says' }] },
    }));
    const repository = createRepository(`${host}/app`, { retry: 0 });
    const content = {
      [Symbol.asyncIterator]: async function* () {
        yield bytes;
      },
    };
    const failure = await repository.push(pushed, content).then(
      () => assert.fail('it was not refused'),
      (error: Error) => error,
    );
    return failure.message.replaceAll(host, 'HOST');
  };
  const repository = 'repository HOST/app not found (so it says); make it at HOST first, or check the name';
  assert.equal(await refusing('NAME_UNKNOWN', target), repository);
  const manifest = { ...target, mediaType: 'application/vnd.oci.image.manifest.v1+json' };
  assert.equal(await refusing('NAME_UNKNOWN', manifest), repository);
  for (const code of ['MANIFEST_BLOB_UNKNOWN', 'MANIFEST_UNKNOWN']) {
    assert.equal(
      await refusing(code, manifest),
      `HOST/app@${digest}: HOST does not have all that it names (so it says); push again`,
    );
  }
});

test('a registry on plain http that takes itself to be behind TLS is spoken to at the port that answered', async (t) => {
  const registry = await odd(t, {
    instead: ({ method, url }, nth, { uploads }) => {
      if (method !== 'POST') return 'right';
      uploads.set(String(nth), Buffer.alloc(0));
      return { status: 202, headers: { location: `https://${url.host}${url.pathname}${nth}?state=a%2Fb` } };
    },
  });
  await push(registry, 1_000_000);
  assert.ok(registry.held.blobs.has(digest));
  assert.match(registry.asked.at(-1) ?? '', /^PUT \/v2\/app\/blobs\/uploads\/1\?state=a%2Fb&digest=/);
});

for (const method of ['POST', 'PATCH', 'PUT']) {
  test(`a ${method} that is answered with another place to look at (303) has stored nothing`, async (t) => {
    const registry = await odd(t, {
      instead: ({ method: asked, url }) =>
        asked === method ? { status: 303, headers: { location: `${url.pathname}?look=1` } } : 'right',
    });
    await assert.rejects(push(registry), {
      code: 'ERR_REGISTRY',
      message: `${registry.host}/app@${digest}: ${registry.host} refused it with status 303; ask who runs it what it accepts`,
    });
  });
}

test('an empty Location names no place: an upload goes on where it was, and one that is opened says so', async (t) => {
  const goesOn = await odd(t, {
    instead: ({ method, url, body }, nth, { uploads }) => {
      if (method === 'GET') return { status: 204, headers: { location: '', range: '0-99999' } };
      if (method !== 'PATCH') return 'right';
      if (nth === 2) return { status: 503 };
      const id = url.pathname.split('/').pop() ?? '';
      const now = Buffer.concat([uploads.get(id) ?? Buffer.alloc(0), body]);
      uploads.set(id, now);
      return { status: 202, headers: { location: '', range: `0-${now.length - 1}` } };
    },
  });
  await push(goesOn);
  assert.deepEqual([count(goesOn, 'POST'), count(goesOn, 'PATCH'), count(goesOn, 'GET')], [1, 4, 1]);
  const opened = await odd(t, {
    instead: ({ method }) => (method === 'POST' ? { status: 202, headers: { location: '' } } : 'right'),
  });
  await assert.rejects(push(opened), { code: 'ERR_REGISTRY', message: /opened an upload without saying where/ });
});

test('a mount that brought another blob brought none', async (t) => {
  const registry = await scriptedRegistry(t, () => ({
    status: 201,
    headers: { 'docker-content-digest': `sha256:${'1'.repeat(64)}` },
  }));
  const repository = createRepository(`${registry.host}/app`, { timeoutMs: 500, retry: 2 });
  assert.equal(await repository.mount(target, 'other'), false);
  assert.equal(registry.asked.length, 1);
});

for (const [way, piece] of [
  ['in pieces', undefined],
  ['at once', 1_000_000],
] as const) {
  test(`a server that takes one request on each connection, and does not say so, gets a blob ${way}`, async (t) => {
    const registry = await odd(t, {});
    const [host, port] = registry.host.split(':');
    const front = createServer((socket) => {
      const behind = connect(Number(port), host);
      let requests = 0;
      socket.on('data', (chunk) => {
        requests += Number(/^[A-Z]{3,6} \//.test(chunk.toString('latin1', 0, 8)));
        if (requests > 1) socket.destroy();
        else behind.write(chunk);
      });
      behind.on('data', (chunk) => socket.write(chunk));
      socket.on('close', () => behind.destroy());
      for (const end of [socket, behind]) end.on('error', () => socket.destroy());
    });
    await push({ ...registry, host: await listen(t, front) }, piece);
    assert.ok(registry.held.blobs.has(digest));
  });
}
