/** The folder of a layout, named as umoci and crane name it: a registry has no such image, and the message says what has. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('an unknown name that is a layout here', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const cwd = tempDir(t);
  await writeLayout(join(cwd, 'app'), { v1: image().build() });
  const conf = join(cwd, 'registries.conf');
  writeFileSync(conf, `[[registry]]\nprefix = "docker.io"\nlocation = "${registry.host}"\ninsecure = true\n`);
  const told = async (...words: string[]): Promise<string> => {
    const { code, stderr } = await runRootfs([...words, '-q'], { cwd, env: { CONTAINERS_REGISTRIES_CONF: conf } });
    assert.equal(code, 3, stderr);
    return stderr;
  };
  const advice = (name: string): RegExp =>
    new RegExp(`; the layout that lies here is oci:${name} \\[ERR_NOT_FOUND\\]\\n$`);
  assert.match(await told('inspect', 'app:v1'), advice('app:v1'));
  assert.match(await told('tags', 'app'), advice('app'));
  assert.match(await told('push', 'app', `${registry.host}/pushed`), advice('app'));
  assert.doesNotMatch(await told('inspect', 'docker://app:v1'), /layout/);
  assert.doesNotMatch(await told('inspect', 'other:v1'), /layout/);
  assert.doesNotMatch(await told('inspect', 'oci:app:v2'), /the layout/);
});
