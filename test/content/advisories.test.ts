/** Advisories of tools that read images from folders and archives, each by its id. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openArchiveFile } from '../../src/content/archive-file.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { tempDir } from '../support/temp-dir.js';

const MiB = 1024 * 1024;
const manifest = 'application/vnd.oci.image.manifest.v1+json';

/** A layout whose documents are these very bytes. */
function layout(t: TestContext, index: string | Buffer, version = '{"imageLayoutVersion":"1.0.0"}'): string {
  const folder = tempDir(t);
  mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
  writeFileSync(join(folder, 'oci-layout'), version);
  writeFileSync(join(folder, 'index.json'), index);
  return folder;
}

async function resolve(folder: string): Promise<unknown> {
  return (await OciLayout.open(folder)).resolve('');
}

test('CVE-2024-3727 (containers/image): a digest is no path', async (t) => {
  for (const digest of [
    'sha256:../../../../../etc/passwd',
    '../../etc:passwd',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}/`,
    `sha256:${'a'.repeat(64)}\0`,
    `sha256:${'a'.repeat(64)}\n`,
    'sha256:',
    '',
  ]) {
    const index = JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: manifest, digest, size: 2 }] });
    await assert.rejects(resolve(layout(t, index)), { code: 'ERR_MANIFEST_INVALID' }, JSON.stringify(digest));
  }
});

test('CVE-2023-25153 (containerd): documents of any length are read up to their limit', async (t) => {
  await assert.rejects(resolve(layout(t, Buffer.alloc(16 * MiB + 1, ' '))), { code: 'ERR_LIMIT_EXCEEDED' });
  await assert.rejects(resolve(layout(t, '{}', ' '.repeat(4 * MiB + 1))), { code: 'ERR_LIMIT_EXCEEDED' });
  const deep = `{"schemaVersion":2,"manifests":${'['.repeat(MiB)}`;
  await assert.rejects(resolve(layout(t, deep)), { code: 'ERR_LIMIT_EXCEEDED' });
});

test('CVE-2020-25040, CVE-2025-4953 (singularity, podman): what is written for a while is for its owner alone', async (t) => {
  const folder = tempDir(t);
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const file = join(folder, 'image.tar.gz');
  writeFileSync(file, gzipSync(new LayerBuilder().file('a', 'x').tar()));
  const temporaryFolder = join(folder, 'tmp');
  mkdirSync(temporaryFolder);
  const archive = await openArchiveFile(file, { temporaryFolder });
  t.after(() => archive.close());
  const [own = ''] = readdirSync(temporaryFolder);
  assert.equal(statSync(join(temporaryFolder, own)).mode & 0o777, 0o700);
  assert.equal(statSync(archive.path).mode & 0o777, 0o600);
});
