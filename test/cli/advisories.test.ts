/** Advisories of other tools that a command line can have too, each by its id. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { rootfs } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const built = image()
  .layer((layer) => layer.file('a', 'b'))
  .build();

test('GHSA-qv35-3gw6-8q4j (regclient): a digest beside a tag is what counts, and a tag that moved is no substitute', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'v1', built);
  const other = `sha256:${'0'.repeat(64)}`;
  for (const command of ['digest', 'inspect', 'config', 'manifest', 'validate']) {
    const { code, stdout } = await rootfs([command, `${registry.host}/app:v1@${other}`]);
    assert.deepEqual([code, stdout], [3, ''], command);
  }
  const { code, stdout } = await rootfs(['digest', `${registry.host}/app:moved@${built.descriptor.digest}`]);
  assert.deepEqual([code, stdout], [0, `${built.descriptor.digest}\n`]);
});

test('CVE-2020-7608 (yargs-parser): options that name what every object has are unknown', async () => {
  for (const option of [
    '--__proto__.json',
    '--constructor.prototype.json',
    '--platform.__proto__.os=x',
    '--toString',
  ]) {
    const { code, stderr } = await rootfs(['inspect', 'oci:nowhere', option]);
    assert.equal(code, 2, option);
    assert.match(stderr, /unknown option/, option);
  }
});

test('CVE-2025-46394, CVE-2023-28101 (busybox, flatpak): no table and no message moves the cursor', async (t) => {
  const evil = '\u001b[31m\u009b2J\u0007\u202e\u2028\u007fX';
  const config = { Labels: { [evil]: evil }, Env: [`A=${evil}`], Cmd: [evil], WorkingDir: evil, Entrypoint: [evil] };
  const hostile = image()
    .layer((layer) => layer.file(`f${evil}`, 'x', { xattrs: { [`trusted.overlay.${evil}`]: 'v' } }))
    .config({ author: evil, config, history: [{ created_by: evil, comment: evil }] })
    .build();
  const folder = tempDir(t);
  await writeLayout(join(folder, 'layout'), { [`tag${evil}`]: hostile, plain: hostile });
  const at = { cwd: folder };
  for (const line of [
    'inspect oci:layout:plain',
    'inspect --json oci:layout:plain',
    'inspect --explain oci:layout:plain',
    'inspect oci:layout',
    'inspect oci:layout:none',
    'tags oci:layout',
    'tags --json oci:layout',
    'instances oci:layout',
    'instances --json oci:layout',
    'unpack --no-store --dst root oci:layout:plain',
    'unpack --no-store --include none --dst none oci:layout:plain',
  ]) {
    const { stdout, stderr } = await rootfs(line.split(' '), at);
    assert.doesNotMatch(stdout + stderr, /[^\P{C}\n\t]|[\u2028\u2029]/u, line);
  }
});

test('CVE-2014-9357, CVE-2026-41567 (docker): no program is run for a compression that is not read', async (t) => {
  const folder = tempDir(t);
  const ran = join(folder, 'ran');
  for (const name of ['xz', 'unxz', 'gzip', 'gunzip', 'pigz', 'unpigz', 'zstd', 'bzip2', 'lz4']) {
    writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} >> '${ran}'\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const magics = { xz: 'fd377a585a00', bzip2: '425a6839', lz4: '04224d18', gzip: '1f8b0800', zstd: '28b52ffd' };
  for (const [name, magic] of Object.entries(magics)) {
    const archive = join(folder, `${name}.tar`);
    writeFileSync(archive, Buffer.concat([Buffer.from(magic, 'hex'), Buffer.alloc(1000, name)]));
    const env = { PATH: `${folder}:${process.env['PATH']}` };
    const { code } = await rootfs(['extract', '--dst', join(folder, 'store'), `docker-archive:${archive}`], { env });
    assert.equal(code, 5, name);
  }
  assert.ok(!existsSync(ran));
});
