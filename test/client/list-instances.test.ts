/** The images of layouts, archives and folders; what registries list is in registry-client.test.ts. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { listInstances } from '../../src/client/list-instances.js';
import { MemoryStore } from '../../src/content/memory.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import type { ProgressEvent } from '../../src/progress.js';
import { type BuiltImage, document, image, index, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { runRootfs } from '../support/run-rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const made = (text: string, created: string): BuiltImage =>
  image()
    .configFields({ created })
    .layer((layer) => layer.file('x', text))
    .build();
const young = made('young', '2022-01-01T00:00:00Z');
const old = made('old', '2020-01-01T00:00:00Z');
const unnamed = made('unnamed', '2021-01-01T00:00:00Z');

function sizeOf({ manifest, manifestBytes }: BuiltImage): number {
  return [manifest.config, ...manifest.layers].reduce((sum, { size }) => sum + size, manifestBytes.length);
}

test('a layout: every name of an image, and images without one, oldest first', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { b: young, a: young, old, unnamed });
  const list = join(folder, 'index.json');
  const parsed = JSON.parse(readFileSync(list, 'utf8'));
  for (const entry of parsed.manifests) if (entry.digest === unnamed.descriptor.digest) delete entry.annotations;
  writeFileSync(list, JSON.stringify(parsed));
  const found = await listInstances(await OciLayout.open(folder));
  assert.deepEqual(
    [...found.values()],
    [
      { digest: old.descriptor.digest, size: sizeOf(old), tags: ['old'], created: new Date('2020-01-01') },
      { digest: unnamed.descriptor.digest, size: sizeOf(unnamed), tags: [], created: new Date('2021-01-01') },
      { digest: young.descriptor.digest, size: sizeOf(young), tags: ['a', 'b'], created: new Date('2022-01-01') },
    ],
  );
  assert.deepEqual(
    [...found.keys()],
    [...found.values()].map(({ digest }) => digest),
  );
});

test('a manifest that is not here, or is none, is left out with a warning', async (t) => {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { young, old });
  rmSync(join(folder, 'blobs', old.descriptor.digest.replace(':', '/')));
  const events: ProgressEvent[] = [];
  const source = await OciLayout.open(folder);
  const found = await listInstances(source, { onProgress: (event) => void events.push(event) });
  assert.deepEqual([...found.keys()], [young.descriptor.digest]);
  const warnings = events.flatMap((event) => (event.type === 'warning:raised' ? [event.message] : []));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', new RegExp(`${old.descriptor.digest}.*; left out \\(old\\)$`));
});

test('one odd tag of a registry hides none of the others', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'good', young);
  registry.add('app', 'odd', document('application/vnd.oci.image.manifest.v1+json', { schemaVersion: 2 }));
  const { code, stdout, stderr } = await runRootfs(['instances', `${registry.host}/app`]);
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /good/);
  assert.match(stderr, /left out \(odd\)/);
});

test('an index whose images were not all copied counts those by their manifests', async (t) => {
  const folder = join(tempDir(t), 'layout');
  const both = index().add(young).add(old).build();
  await writeLayout(folder, { both });
  rmSync(join(folder, 'blobs', old.descriptor.digest.replace(':', '/')));
  const [instance] = [...(await listInstances(await OciLayout.open(folder))).values()];
  const size = both.descriptor.size + sizeOf(young) + old.manifestBytes.length;
  assert.deepEqual([instance?.digest, instance?.size], [both.descriptor.digest, size]);
});

test('a layout of many entries reads its index once, not for each of them', async (t) => {
  const folder = join(tempDir(t), 'layout');
  // One of them is in the index alone.
  await writeLayout(folder, { young, old, inner: index().add(unnamed).build() });
  const source = await OciLayout.open(folder);
  const { entries } = source;
  source.entries = async function* (...args) {
    yield* entries.apply(source, args);
    rmSync(join(folder, 'index.json'));
  };
  assert.equal((await listInstances(source)).size, 3);
});

test('a store in memory, by its names', async () => {
  const store = new MemoryStore();
  for (const [digest, bytes] of young.blobs) {
    await store.push({ mediaType: 'application/octet-stream', digest, size: bytes.length }, Readable.from([bytes]));
  }
  await store.tag(young.descriptor, 'b');
  await store.tag(young.descriptor, 'a');
  const [instance] = [...(await listInstances(store)).values()];
  assert.deepEqual([instance?.digest, instance?.tags], [young.descriptor.digest, ['a', 'b']]);
});
