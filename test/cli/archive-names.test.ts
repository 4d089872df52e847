/** What an image is called in an archive that `copy` and `pull` write without being told. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { image, startRegistry } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

test('an image that is asked for by tag and digest keeps its tag, in either archive', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  const { digest } = registry.add('app', 'one', image().build());
  const folder = tempDir(t);
  const app = `${registry.host}/app`;
  const namesOf = async (asked: string, how: readonly string[], file: string): Promise<readonly string[]> => {
    const { code, stderr } = await runRootfs([how[0] as string, asked, ...how.slice(1), '-q']);
    assert.deepEqual([code, stderr], [0, '']);
    const archive = await DockerArchive.open(file);
    const names: string[] = [];
    for await (const name of archive.tags()) names.push(name);
    await archive.close();
    return names;
  };
  for (const command of ['copy', 'pull'] as const) {
    const file = join(folder, `${command}.tar`);
    const how = command === 'copy' ? ['copy', `docker-archive:${file}`] : ['pull', '-o', file];
    assert.deepEqual(await namesOf(`${app}:one@${digest}`, how, file), [`${app}:one`]);
    assert.deepEqual(await namesOf(`${app}@${digest}`, how, file), []);
  }
  for (const name of [`mine@${digest}`, `mine:2@${digest}`]) {
    const file = join(folder, 'refused.tar');
    const { code, stderr } = await runRootfs(['pull', `${app}:one`, '-o', file, '--name', name]);
    assert.equal(code, 2);
    assert.match(stderr, /^rootfs: --name mine.*: an archive names images by tags; leave the digest out/);
    assert.equal(existsSync(file), false);
  }
  const named = join(folder, 'named.tar');
  const how = ['copy', `docker-archive:${named}:mine:2`];
  assert.deepEqual(await namesOf(`${app}:one@${digest}`, how, named), ['mine:2']);
});
