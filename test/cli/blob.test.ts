/** `rootfs blob`: what is written is right, whoever had it wrong. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('blob: a mirror that has it wrong is passed over, and where all have, nothing is written', async (t) => {
  const built = image()
    .layer((layer) => layer.file('a', 'b'))
    .build();
  const [layer] = built.layers;
  assert.ok(layer !== undefined);
  const [registry, mirror] = await Promise.all([startRegistry(), startRegistry()]);
  t.after(() => Promise.all([registry.close(), mirror.close()]));
  for (const one of [registry, mirror]) one.add('app', 'v1', built);
  mirror.fault({ on: 'blob', reference: layer.descriptor.digest, do: 'flip' });
  const settings = join(tempDir(t), 'registries.conf');
  const place = (host: string): string => `location = "${host}"\ninsecure = true\n`;
  writeFileSync(settings, `[[registry]]\n${place(registry.host)}[[registry.mirror]]\n${place(mirror.host)}`);
  const words = ['blob', `${registry.host}/app:v1`, layer.descriptor.digest];
  const env = { CONTAINERS_REGISTRIES_CONF: settings };
  const { code, stdout, stderr } = await runRootfs(words, { env });
  assert.equal(code, 0, stderr);
  assert.ok(stdout.equals(layer.blob));
  registry.fault({ on: 'blob', reference: layer.descriptor.digest, do: 'flip' });
  const wrong = await runRootfs(words, { env });
  assert.equal(wrong.code, 5, wrong.stderr);
  assert.equal(wrong.stdout.length, 0);
});
