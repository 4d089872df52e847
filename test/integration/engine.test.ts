/** The engine's verbs at Debian's docker-registry, judged by skopeo. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openImageCache } from '../../src/engine/open-image-cache.js';
import { pull } from '../../src/engine/pull.js';
import { push } from '../../src/engine/push.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { writeLayout } from '../../src/testing/testing.js';
import { atEnd } from '../support/at-end.js';
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.js';
import { engineImage, engineParts } from '../support/engine-parts.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip = needs('docker-registry', 'skopeo');
const app = engineImage('app', 3);

async function served(t: TestContext): Promise<DockerRegistry> {
  const folder = tempDir(t, 'registry');
  const registry = await startDockerRegistry(folder);
  atEnd(t, () => registry.stop());
  await writeLayout(join(folder, 'layout'), { v1: app });
  skopeo('copy', '--dest-tls-verify=false', `oci:${folder}/layout:v1`, `docker://${registry.host}/team/app:v1`);
  return registry;
}

function skopeo(...argv: readonly string[]): string {
  return execFileSync('skopeo', [...argv], { encoding: 'utf8' });
}

test('what the engine pushed, skopeo copies and reads as the same image', { skip }, async (t) => {
  const { host, log } = await served(t);
  const parts = await engineParts(t);
  const { id } = await pull(`${host}/team/app:v1`, parts);
  assert.equal(id, app.manifest.config.digest);
  // Nothing is known of the layers: they are compressed and sent.
  const pushed = await push(`${host}/copies/app:v1`, { ...parts, id, metadataStore: undefined });
  const raw = JSON.parse(skopeo('inspect', '--raw', '--tls-verify=false', `docker://${host}/copies/app:v1`)) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  assert.equal(raw.config.digest, id);
  assert.deepEqual(
    raw.layers.map(({ digest }) => digest),
    pushed.layers.map(({ digest }) => digest),
  );
  // A copy to a folder reads every layer and checks it.
  skopeo('copy', '--src-tls-verify=false', `docker://${host}/copies/app:v1`, `dir:${join(tempDir(t), 'copy')}`);
  // The layers were seen in team/app: they are mounted, not sent.
  await push(`${host}/forks/app:v1`, { ...parts, id });
  const mounts = log().match(/"POST \/v2\/forks\/app\/blobs\/uploads\/\?mount=[^"]+" 201/g) ?? [];
  assert.equal(mounts.length, 3, log().slice(-4000));
});

test('skopeo reads the image cache', { skip }, async (t) => {
  const { host } = await served(t);
  const folder = tempDir(t);
  const cache = await openImageCache({ folder });
  const found = await cache.resolve(`${host}/team/app:v1`);
  (await cache.fetch(found)).destroy();
  await cache.close();
  const raw = skopeo('inspect', '--raw', `oci:${folder}:${host}/team/app:v1`);
  assert.deepEqual(Buffer.from(raw), app.manifestBytes);
  const offline = await openImageCache({ folder, pull: 'never' });
  const image = await fetchImage(offline, `${host}/team/app:v1`, { platform: 'linux/amd64' });
  assert.equal(image.config.descriptor.digest, app.manifest.config.digest);
  await offline.close();
});
