// Runs the commands that people run most, on a small image, and keeps the code that V8 compiled meanwhile.
// Usage: node build/warm-command.cjs LAYOUT SCRATCH
'use strict';
const { createReadStream, readFileSync } = require('node:fs');
const { createServer } = require('node:http');
const { join } = require('node:path');
const { loadCommand } = require('../bin/load-command.js');
const tuning = require('../bin/tune-engine.js');

const [layout, scratch] = process.argv.slice(2);

/** The least of a registry: the layout's blobs and manifests by digest, and its index under any tag. */
const registry = createServer(({ url }, answer) => {
  const [, kind, name] = /^\/v2\/hello\/(blobs|manifests)\/(.+)$/.exec(url) ?? [];
  if (kind === undefined) return answer.end('{}');
  if (!name.startsWith('sha256:')) {
    answer.setHeader('content-type', 'application/vnd.oci.image.index.v1+json');
    return answer.end(readFileSync(join(layout, 'index.json')));
  }
  const file = join(layout, 'blobs', name.replace(':', '/'));
  if (kind === 'blobs') return createReadStream(file).pipe(answer);
  const content = readFileSync(file);
  answer.setHeader('content-type', JSON.parse(content).mediaType);
  return answer.end(content);
});

async function run({ main }, ...argv) {
  const code = await main(['-q', '--platform', 'linux/amd64', ...argv]);
  if (code !== 0) throw new Error(`rootfs ${argv.join(' ')}: exit code ${code}`);
}

registry.listen(0, '127.0.0.1', async () => {
  // The code is for runs that load it before they set a flag.
  tuning.tuneEngine = () => {};
  const command = loadCommand();
  process.stdout.write = (_data, ...rest) => {
    rest.at(-1)?.();
    return true;
  };
  const image = `127.0.0.1:${registry.address().port}/hello`;
  const local = `oci:${layout}`;
  for (const at of ['once', 'again']) {
    for (const source of [image, local]) {
      await run(command, 'extract', '--dst', join(scratch, `layers-${source === local}`), source);
      await run(
        command,
        'unpack',
        '--store',
        join(scratch, 'store'),
        '--dst',
        join(scratch, `${at}-${source === local}`),
        source,
      );
      await run(command, 'inspect', source);
    }
    await run(command, 'flatten', '--store', join(scratch, 'store'), '-o', join(scratch, `${at}.tar`), local);
    const thin = ['--format', 'erofs', '--layers-as-devices', '-o', join(scratch, `${at}.erofs`)];
    await run(command, 'mkfs', '--store', join(scratch, 'store'), ...thin, local);
    await run(command, 'copy', image, `oci:${join(scratch, `${at}-copy`)}:1`);
    await run(command, 'pull', local, '-o', join(scratch, `${at}-image.tar`));
  }
  command.keepCode();
  registry.close();
  registry.closeAllConnections();
});
