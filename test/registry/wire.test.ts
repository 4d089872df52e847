/** Servers that do not quite speak HTTP. */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { fetchVerified } from '../../src/content/fetch-verified.js';
import { createRepository, type RegistryRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { type Certificate, createCertificate, digestOf } from '../../src/testing/testing.js';
import { built } from '../support/fault-case.js';
import { listen } from '../support/listen.js';

const manifest = built.manifestBytes;
const head = [
  'HTTP/1.1 200 OK',
  `Content-Type: ${built.descriptor.mediaType}`,
  `Docker-Content-Digest: ${built.descriptor.digest}`,
  `Content-Length: ${manifest.length}`,
];
const whole = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), manifest]);

/** A server that hands each request's first line to `answer`, one after another on each connection. */
async function serve(
  t: TestContext,
  answer: (line: string, socket: Socket, count: number) => void,
  tls?: Certificate,
): Promise<RegistryRepository> {
  let count = 0;
  const take = (socket: Socket): void => {
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const line = text.slice(0, text.indexOf('\r\n'));
        text = text.slice(end + 4);
        answer(line, socket, ++count);
      }
    });
  };
  const server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  return createRepository(`${await listen(t, server)}/app`, {
    retry: 1,
    timeoutMs: 500,
    ...(tls === undefined ? {} : { plainHttp: false, tlsVerify: false }),
  });
}

test('a HEAD that is answered with a body spoils nothing', async (t) => {
  const repository = await serve(t, (_, socket) => socket.write(whole));
  assert.deepEqual(await repository.resolve('v1'), built.descriptor);
  const { content } = await repository.fetchReference('v1');
  assert.deepEqual(Buffer.concat(await content.toArray()), manifest);
});

test('informational answers without end are refused', async (t) => {
  let requests = 0;
  const repository = await serve(t, (_, socket) => {
    requests++;
    const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 10);
    socket.on('close', () => clearInterval(timer));
  });
  await assert.rejects(repository.resolve('v1'), { code: 'ERR_REGISTRY', message: /informational answers/ });
  assert.equal(requests, 1);
});

test('headers of 100 kB are read, of a megabyte not, and that is asked for once', async (t) => {
  let requests = 0;
  let bytes = 100_000;
  const repository = await serve(t, (_, socket) => {
    requests++;
    const wide = Buffer.from(`${head.join('\r\n')}\r\nX-Wide: ${'x'.repeat(bytes)}\r\n\r\n`);
    socket.write(Buffer.concat([wide, manifest]));
  });
  const { content } = await repository.fetchReference('v1');
  assert.deepEqual(Buffer.concat(await content.toArray()), manifest);
  bytes = 1_000_000;
  await assert.rejects(repository.fetchReference('v1'), { code: 'ERR_REGISTRY', message: /headers are too long/ });
  assert.equal(requests, 2);
});

test('CVE-2026-21710 (Node): headers that are called as what every object has are headers', async (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const odd = [...head, ...names.map((name) => `${name}: x`)].join('\r\n');
  const repository = await serve(t, (_, socket) =>
    socket.write(Buffer.concat([Buffer.from(`${odd}\r\n\r\n`), manifest])),
  );
  assert.deepEqual(await repository.resolve('v1'), built.descriptor);
  const challenge =
    'HTTP/1.1 401 No\r\n__proto__: x\r\nWWW-Authenticate: __proto__ constructor=x\r\nContent-Length: 0\r\n\r\n';
  const refusing = await serve(t, (_, socket) => socket.write(challenge));
  await assert.rejects(refusing.resolve('v1'), { code: 'ERR_UNAUTHORIZED' });
});

test('CVE-2026-22036 (undici): an answer that says it was compressed thousands of times costs what it has', async (t) => {
  for (const times of [2, 6, 10_000]) {
    const odd = [...head, `Content-Encoding: ${Array(times).fill('gzip').join(', ')}`].join('\r\n');
    const repository = await serve(t, (_, socket) =>
      socket.write(Buffer.concat([Buffer.from(`${odd}\r\n\r\n`), manifest])),
    );
    const started = performance.now();
    await (await repository.fetch(built.descriptor)).toArray().catch(() => {});
    assert.ok(performance.now() - started < 2_000);
  }
});

test('what is no HTTP is refused, and asked once', async (t) => {
  let requests = 0;
  const repository = await serve(t, (_, socket) => {
    requests++;
    socket.end('220 smtp.example ESMTP\r\n');
  });
  await assert.rejects(repository.resolve('v1'), { code: 'ERR_REGISTRY', message: /is not HTTP/ });
  assert.equal(requests, 1);
});

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
for (const [name, before, apart] of [
  ['in one piece with it', CONTINUE, ''],
  ['in a piece of its own', '', CONTINUE],
  ['twice, and another one', `${CONTINUE}HTTP/1.1 100\r\nX: y\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n`, CONTINUE],
] as const) {
  for (const tls of [undefined, createCertificate()]) {
    test(`100 Continue that nobody asked for comes before the answer, ${name}${tls === undefined ? '' : ', over TLS'}`, async (t) => {
      const answer = async (socket: Socket): Promise<void> => {
        if (apart !== '') {
          socket.write(apart);
          await pause(20);
        }
        socket.write(Buffer.concat([Buffer.from(before), whole]));
      };
      const repository = await serve(t, (_, socket) => void answer(socket), tls);
      for (let at = 0; at < 2; at += 1) {
        const { content } = await repository.fetchReference('v1');
        assert.deepEqual(Buffer.concat(await content.toArray()), manifest);
      }
    });
  }
}

const [status = '', ...fields] = head;
const text = (lines: readonly string[], end = '\r\n'): Buffer => Buffer.from(`${lines.join(end)}${end}${end}`);
const chunks = Buffer.concat([
  Buffer.from(`${manifest.length.toString(16)}\r\n`),
  manifest,
  Buffer.from('\r\n0\r\n\r\n'),
]);
for (const [name, answer] of [
  ['lines that end in LF', Buffer.concat([text(head, '\n'), manifest])],
  ['folded lines', Buffer.concat([text([status, 'X-A: a', ' b', '\tc', ...fields, 'X-B: a', '  b']), manifest])],
  [
    'blanks before colons',
    Buffer.concat([text([status, ...fields.map((line) => line.replace(':', ' \t:'))]), manifest]),
  ],
  ['its length twice', Buffer.concat([text([...head, `content-length: ${manifest.length}`]), manifest])],
  [
    'its length twice in one line',
    Buffer.concat([text([...head.slice(0, -1), `${head.at(-1)}, ${manifest.length}`]), manifest]),
  ],
  ['a length that does not count', Buffer.concat([text([...head, 'Transfer-Encoding: chunked']), chunks])],
  ['100 Continue and empty lines before it', Buffer.concat([Buffer.from(`\r\n${CONTINUE}\r\n\n${CONTINUE}`), whole])],
] as const) {
  for (const [way, step] of [
    ['at once', answer.length],
    ['byte by byte', 1],
  ] as const) {
    test(`an answer with ${name} is read: ${way}`, async (t) => {
      const repository = await serve(t, async (_, socket) => {
        socket.setNoDelay(true);
        const end = answer.length - manifest.length;
        for (let at = 0; at < end; at += step) {
          socket.write(answer.subarray(at, Math.min(end, at + step)));
          await new Promise(setImmediate);
        }
        socket.write(answer.subarray(end));
      });
      for (let at = 0; at < 2; at += 1) {
        const { content } = await repository.fetchReference('v1');
        assert.deepEqual(Buffer.concat(await content.toArray()), manifest);
      }
    });
  }
}

test('an answer whose length does not count is the last one of its connection', async (t) => {
  const answer = Buffer.concat([text([...head, 'Transfer-Encoding: chunked']), chunks]);
  const poison = Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
  const repository = await serve(t, (_, socket) => {
    socket.write(answer);
    setTimeout(() => socket.write(poison), 1);
  });
  for (let at = 0; at < 3; at += 1) {
    assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
  }
});

test('a layer behind an odd head is read as it is, also where it looks like one', async (t) => {
  const body = Buffer.concat([Buffer.alloc(400_000, 'X-A : b\n c\n\n'), whole]);
  const layer = { ...built.layers[0]?.descriptor, digest: digestOf(body), size: body.length } as Descriptor;
  const repository = await serve(t, (_, socket) => {
    socket.write(Buffer.concat([text(['HTTP/1.1 200 OK', `Content-Length: ${body.length}`], '\n'), body]));
  });
  for (let at = 0; at < 2; at += 1) {
    assert.deepEqual(Buffer.concat(await (await fetchVerified(repository, layer)).toArray()), body);
  }
});

test('100 Continue without end is silence', async (t) => {
  const repository = await serve(t, (_, socket) => {
    const timer = setInterval(() => socket.write(CONTINUE), 10);
    socket.on('close', () => clearInterval(timer));
  });
  await assert.rejects(repository.fetchReference('v1'), { code: 'ERR_TIMEOUT' });
});

test('what looks like 100 Continue inside of a body stays there', async (t) => {
  const body = Buffer.from(`${CONTINUE}${CONTINUE}`);
  const layer = { ...built.layers[0]?.descriptor, digest: digestOf(body), size: body.length } as Descriptor;
  const repository = await serve(t, async (_, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
    await pause(20);
    socket.write(CONTINUE);
    await pause(20);
    socket.write(CONTINUE);
  });
  assert.deepEqual(Buffer.concat(await (await fetchVerified(repository, layer)).toArray()), body);
});

test('informational answers come before the answer', async (t) => {
  const repository = await serve(t, (_, socket) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n');
    socket.write(whole);
  });
  assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
});

test('headers without end are refused', async (t) => {
  const repository = await serve(t, (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    for (let at = 0; at < 400; at++) socket.write(`X-${at}: ${'x'.repeat(1_000)}\r\n`);
  });
  await assert.rejects(repository.fetchReference('v1'), (error: { code: string }) =>
    ['ERR_REGISTRY', 'ERR_NETWORK'].includes(error.code),
  );
});

test('two lengths that differ are refused', async (t) => {
  const repository = await serve(t, (_, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello!!`);
  });
  await assert.rejects(repository.fetchReference('v1'), (error: { code: string }) =>
    ['ERR_REGISTRY', 'ERR_NETWORK'].includes(error.code),
  );
});

test('a connection that is closed while it is idle is replaced unnoticed', async (t) => {
  const repository = await serve(t, (_, socket) => {
    socket.write(whole);
    setImmediate(() => socket.destroy());
  });
  for (let at = 0; at < 5; at++) {
    const { content } = await repository.fetchReference('v1');
    assert.deepEqual(Buffer.concat(await content.toArray()), manifest);
  }
});

test('a body that ends with the connection is taken', async (t) => {
  const repository = await serve(t, (_, socket) => {
    socket.end(
      Buffer.concat([Buffer.from(`HTTP/1.0 200 OK\r\nContent-Type: ${built.descriptor.mediaType}\r\n\r\n`), manifest]),
    );
  });
  assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
});

test('CVE-2026-48931 (Node): an answer to nobody is not taken for the next one', async (t) => {
  const poison = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n';
  const repository = await serve(t, (_, socket, count) => {
    socket.write(count === 1 ? Buffer.concat([whole, Buffer.from(poison)]) : whole);
  });
  for (let at = 0; at < 3; at++) {
    assert.deepEqual((await repository.fetchReference('v1')).descriptor, built.descriptor);
  }
});
