/** Bodies as servers may send them: the command looks at no byte of one whose length it knows (see build/command.mjs). */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { image, SeededRandom } from '../../src/testing/testing.js';
import { listen } from '../support/listen.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const LAYERS = 5;
const random = new SeededRandom(7);
const builder = image().compression('none');
for (let at = 0; at < LAYERS; at++) builder.layer((layer) => layer.file(`file-${at}`, random.bytes(700_000 + at)));
const built = builder.build();

type Answer = (socket: Socket, body: Buffer, type: string) => Promise<void> | void;

const OK = 'HTTP/1.1 200 OK\r\n';

async function inPieces(socket: Socket, bytes: Buffer, ends: readonly number[]): Promise<void> {
  let start = 0;
  for (const end of [...ends, bytes.length]) {
    socket.write(bytes.subarray(start, end));
    start = end;
    await pause(2);
  }
}

/** A registry of one image that answers every request in one way, all on one connection where the client keeps it. */
async function serve(t: TestContext, answer: Answer): Promise<{ host: string; connections: () => number }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.on('data', async (chunk) => {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      const name = /^GET \S+\/(\S+) /.exec(text)?.[1] ?? '';
      text = '';
      const body = name === 'v1' ? built.manifestBytes : built.blobs.get(name as `sha256:${string}`);
      if (body === undefined) socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
      else
        await answer(
          socket,
          Buffer.from(body),
          name === 'v1' ? built.descriptor.mediaType : 'application/octet-stream',
        );
    });
  });
  return { host: await listen(t, server), connections: () => sockets.size };
}

const ANSWERS: Readonly<Record<string, Answer>> = {
  'the first byte with the headers, the last one alone': (socket, body, type) => {
    const head = Buffer.from(`${OK}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`);
    const middle = Math.min(body.length - 1, 400_000);
    return inPieces(socket, Buffer.concat([head, body]), [
      head.length + 1,
      head.length + middle,
      head.length + body.length - 1,
    ]);
  },
  'headers alone': (socket, body, type) => {
    const head = Buffer.from(`${OK}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`);
    return inPieces(socket, Buffer.concat([head, body]), [head.length]);
  },
  'headers in pieces, the length first': (socket, body, type) => {
    const length = Buffer.from(`${OK}Content-Length: ${body.length}\r\n`);
    const rest = Buffer.from(`Content-Type: ${type}\r\n\r\n`);
    return inPieces(socket, Buffer.concat([length, rest, body]), [length.length, length.length + rest.length]);
  },
  'in chunks, and trailers': (socket, body, type) => {
    const half = body.length >> 1;
    const parts = [
      `${OK}Content-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${half.toString(16)}\r\n`,
      body.subarray(0, half),
      `\r\n${(body.length - half).toString(16)}\r\n`,
      body.subarray(half),
      '\r\n0\r\nX-Length: 99999999\r\n',
      'X-More: 1\r\n\r\n',
    ].map((part) => Buffer.from(part as string));
    let at = 0;
    return inPieces(
      socket,
      Buffer.concat(parts),
      parts.slice(0, -1).map(({ length }) => (at += length)),
    );
  },
  'after an informational answer with a length': async (socket, body, type) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nContent-Length: 99999999\r\n\r\n');
    await pause(2);
    const head = Buffer.from(`${OK}Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`);
    await inPieces(socket, Buffer.concat([head, body]), [head.length + 10, head.length + (body.length >> 1)]);
  },
};

for (const [name, answer] of Object.entries(ANSWERS)) {
  test(`bodies arrive whole, one after another on a connection: ${name}`, async (t) => {
    const { host, connections } = await serve(t, answer);
    const folder = tempDir(t);
    const end = await runRootfs(['copy', '-q', '--jobs', '1', `${host}/app:v1`, `oci:${folder}/copy:1`]);
    assert.equal(end.stderr, '');
    assert.equal(end.code, 0);
    const blobs = join(folder, 'copy/blobs/sha256');
    const names = readdirSync(blobs);
    assert.equal(names.length, LAYERS + 2);
    for (const hex of names) {
      assert.deepEqual(readFileSync(join(blobs, hex)), Buffer.from(built.blobs.get(`sha256:${hex}`) ?? []));
    }
    assert.equal(connections(), 1);
  });
}
