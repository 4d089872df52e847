// Runs a command that people run most, or all of these for `main`, on a small image, and keeps the code that V8
// compiled meanwhile.
// Usage: node build/warm-command.cjs LAYOUT SCRATCH COMMAND
'use strict';
const { createReadStream, readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { loadCommand } = require('../bin/load-command.js');
const tuning = require('../bin/tune-engine.js');

const [layout, scratch, part] = process.argv.slice(2);

/** The least of a registry: the layout's blobs and manifests by digest, its index under any tag; and it takes all. */
const registry = createServer(({ url, method }, answer) => {
  if (method === 'POST') return answer.writeHead(202, { location: `${url}1` }).end();
  if (method === 'PUT') return answer.writeHead(201, { location: url }).end();
  const [, name, kind, reference] = /^\/v2\/(\w+)\/(blobs|manifests)\/(.+)$/.exec(url) ?? [];
  if (kind === undefined) return answer.end('{}');
  if (name !== 'hello') return answer.writeHead(404).end();
  if (!reference.startsWith('sha256:')) {
    answer.setHeader('content-type', 'application/vnd.oci.image.index.v1+json');
    return answer.end(readFileSync(join(layout, 'index.json')));
  }
  const file = join(layout, 'blobs', reference.replace(':', '/'));
  if (kind === 'blobs') return createReadStream(file).pipe(answer);
  const content = readFileSync(file);
  answer.setHeader('content-type', JSON.parse(content).mediaType);
  return answer.end(content);
});

/** The lines of each command. Each is run twice; what it makes is told apart by `at`. */
const LINES = {
  extract: ({ images, at }) => images.map((image, which) => ['--dst', join(scratch, `${at}-layers-${which}`), image]),
  unpack: ({ images, at, store }) =>
    images.map((image, which) => [...store, '--dst', join(scratch, `${at}-root-${which}`), image]),
  inspect: ({ images }) => images.map((image) => [image]),
  flatten: ({ local, at, store }) => [[...store, '-o', join(scratch, `${at}.tar`), local]],
  mkfs: ({ local, at, store }) => [
    [...store, '--format', 'erofs', '--layers-as-devices', '-o', join(scratch, `${at}.erofs`), local],
  ],
  copy: ({ host, images, at }) => [
    [images[0], `oci:${join(scratch, `${at}-copy`)}:1`],
    [images[1], `${host}/${at}`],
  ],
  pull: ({ local, at }) => [[local, '-o', join(scratch, `${at}-image.tar`)]],
};

async function run({ main }, argv) {
  const code = await main(argv);
  if (code !== 0) throw new Error(`rootfs ${argv.join(' ')}: exit code ${code}`);
}

registry.listen(0, '127.0.0.1', async () => {
  // The code is for runs that load it before they set a flag.
  tuning.tuneEngine = () => {};
  const command = loadCommand([]);
  process.stdout.write = (_data, ...rest) => {
    rest.at(-1)?.();
    return true;
  };
  const host = `127.0.0.1:${registry.address().port}`;
  const local = `oci:${layout}`;
  const images = [`${host}/hello`, local];
  const store = ['--store', join(scratch, 'store')];
  for (const at of ['once', 'again']) {
    for (const [name, lines] of Object.entries(LINES)) {
      if (part !== 'main' && part !== name) continue;
      for (const line of lines({ host, images, local, store, at })) {
        await run(command, [name, '-q', '--platform', 'linux/amd64', ...line]);
      }
    }
  }
  command.keepCode(part);
  registry.close();
  registry.closeAllConnections();
});
