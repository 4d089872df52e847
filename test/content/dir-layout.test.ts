import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DirLayout } from '../../src/content/dir-layout.js';
import { readVerified } from '../../src/content/fetch-verified.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { type Built, image, index, writeLayout } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, readContract } from './target-contract.js';

/** As skopeo 1.9 writes it. */
function writeDir(t: TestContext, built: Built): string {
  const folder = tempDir(t);
  for (const [digest, bytes] of built.blobs) {
    const hex = digest.slice(7);
    const name = built.documents.has(digest) ? `${hex}.manifest.json` : hex;
    writeFileSync(join(folder, digest === built.descriptor.digest ? 'manifest.json' : name), bytes);
  }
  writeFileSync(join(folder, 'version'), 'Directory Transport Version: 1.1\n');
  return folder;
}

readContract('dir', async (t, built) => ({ target: await DirLayout.open(writeDir(t, built)), reference: '' }));

test('an index and the manifests below it', async (t) => {
  const built = contractImage();
  const top = index().add(built).build();
  const folder = await DirLayout.open(writeDir(t, top));
  assert.equal((await folder.resolve('')).digest, top.descriptor.digest);
  assert.equal((await folder.resolve('')).mediaType, top.descriptor.mediaType);
  const below = await folder.resolve(`@${built.descriptor.digest}`);
  assert.deepEqual(below, built.descriptor);
  assert.deepEqual(await readVerified(folder, below), built.manifestBytes);
});

test('a manifest that does not say what it is', async (t) => {
  for (const family of ['oci', 'docker'] as const) {
    for (const mediaType of [undefined, '']) {
      const built = image().mediaTypes(family).manifestFields({ mediaType }).build();
      const folder = await DirLayout.open(writeDir(t, built));
      assert.equal((await folder.resolve('')).mediaType, 'application/vnd.oci.image.manifest.v1+json');
    }
  }
});

test('folders that are none of this form, and links', async (t) => {
  const empty = tempDir(t);
  await assert.rejects(DirLayout.open(empty), { code: 'ERR_LAYOUT_INVALID' });
  await assert.rejects(DirLayout.open(join(empty, 'missing')), { code: 'ERR_NOT_FOUND' });
  const built = contractImage();
  const folder = writeDir(t, built);
  writeFileSync(join(folder, 'version'), 'Directory Transport Version: 2.0\n');
  await assert.rejects(DirLayout.open(folder), { code: 'ERR_LAYOUT_INVALID' });
  writeFileSync(join(folder, 'version'), 'Directory Transport Version: 1.1'.padEnd(1024));
  await DirLayout.open(folder);
  writeFileSync(join(folder, 'version'), 'Directory Transport Version: 1.1'.padEnd(1025));
  await assert.rejects(DirLayout.open(folder), { code: 'ERR_LIMIT_EXCEEDED' });
  unlinkSync(join(folder, 'version'));
  const layout = await DirLayout.open(folder);
  const layer = built.layers[0]?.descriptor;
  assert.ok(layer);
  const path = join(folder, layer.digest.slice(7));
  unlinkSync(path);
  symlinkSync('/etc/hostname', path);
  await assert.rejects(layout.fetch(layer), { code: 'ERR_DIGEST_MISMATCH' });
  unlinkSync(path);
  await assert.rejects(layout.fetch(layer), { code: 'ERR_NOT_FOUND' });
  writeFileSync(join(folder, 'elsewhere'), built.blobs.get(layer.digest) ?? '');
  symlinkSync('elsewhere', path);
  assert.deepEqual(await readVerified(layout, layer), built.blobs.get(layer.digest));
  unlinkSync(path);
  writeFileSync(join(folder, 'manifest.json'), '{"schemaVersion":1,"fsLayers":[]}');
  await assert.rejects(layout.resolve(''), { code: 'ERR_SCHEMA1_UNSUPPORTED' });
  unlinkSync(join(folder, 'manifest.json'));
  mkdirSync(join(folder, 'manifest.json'));
  await assert.rejects(DirLayout.open(folder), { code: 'ERR_LAYOUT_INVALID' });
});

test('a folder or a file of another form: what it is to be named as', async (t) => {
  const built = contractImage();
  const layout = tempDir(t);
  await writeLayout(layout, built);
  await assert.rejects(DirLayout.open(layout), {
    code: 'ERR_LAYOUT_INVALID',
    message: `${layout}: manifest.json is missing; try oci:${layout}`,
  });
  const folder = writeDir(t, built);
  await assert.rejects(OciLayout.open(folder), {
    code: 'ERR_LAYOUT_INVALID',
    message: `${folder}: not an OCI layout, oci-layout is missing; try dir:${folder}`,
  });
  const unpacked = tempDir(t);
  writeFileSync(join(unpacked, 'manifest.json'), ' [{"Config":"c","Layers":[]}]');
  await assert.rejects(DirLayout.open(unpacked), {
    code: 'ERR_LAYOUT_INVALID',
    message: /the list of a docker-archive; pack .* docker-archive:image.tar$/,
  });
  await assert.rejects(OciLayout.open(unpacked), {
    code: 'ERR_LAYOUT_INVALID',
    message: /give a folder that holds one$/,
  });
  const file = join(unpacked, 'file');
  writeFileSync(file, '');
  await assert.rejects(DirLayout.open(file), {
    code: 'ERR_FILESYSTEM',
    message: /not a folder; .* docker-archive:.*file or oci-archive:/,
  });
  await assert.rejects(OciLayout.open(file), {
    code: 'ERR_FILESYSTEM',
    message: /not a folder; give a folder, or try oci-archive:/,
  });
});
