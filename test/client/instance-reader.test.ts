/** Size and time of an image where not all of it can be read: what is told, what is not, and what ends the list. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listInstances } from '../../src/client/list-instances.js';
import { OciArchive } from '../../src/content/oci-archive.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { RootfsError } from '../../src/errors.js';
import type { Instance } from '../../src/registry/listed-instances.js';
import { openRepository } from '../../src/registry/open-repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import {
  type Built,
  document,
  image,
  index,
  LayerBuilder,
  startRegistry,
  writeLayout,
} from '../../src/testing/testing.js';
import { collectWarnings } from '../support/collect-warnings.js';
import { datedImage, imageBytes } from '../support/dated-image.js';
import { tempDir } from '../support/temp-dir.js';

const good = datedImage('good', '2020-01-01T00:00:00Z');
const timeless = datedImage('timeless', 'yesterday');
const manifestType = good.descriptor.mediaType;

async function opened(t: TestContext, images: Readonly<Record<string, Built>>) {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, images);
  const layout = await OciLayout.open(folder);
  const path = ({ digest }: { readonly digest: string }): string => join(folder, 'blobs', digest.replace(':', '/'));
  return { layout, path };
}

async function told(
  source: Parameters<typeof listInstances>[0],
): Promise<{ list: readonly Instance[]; warnings: readonly string[] }> {
  const { warnings, onProgress } = collectWarnings();
  return { list: [...(await listInstances(source, { onProgress })).values()], warnings };
}

test('a manifest of an index that is here and cannot be read is told; one that is not here is not', async (t) => {
  const odd = [1, 2].map((at) => document(manifestType, { schemaVersion: 2, at }));
  const list = index().add(datedImage('absent'), { missing: true });
  for (const one of odd) list.add(one);
  const built = list.add(good).build();
  const { layout } = await opened(t, { built });
  const { list: found, warnings } = await told(layout);
  const others = built.index.manifests.slice(0, 3).reduce((sum, { size }) => sum + size, 0);
  assert.deepEqual(found[0]?.size, built.indexBytes.length + others + imageBytes(good));
  assert.equal(warnings.length, 1, warnings.join('\n'));
  const pattern = `${odd[0]?.descriptor.digest}.*; counted with the size that its index tells, as 1 more of it \\(built\\)$`;
  assert.match(warnings[0] ?? '', new RegExp(pattern));
});

test('an index of indexes has the time of an image below, and counts with what it lists', async (t) => {
  const inner = index().add(timeless).add(good).build();
  const outer = index().add(index().add(timeless).build()).add(index().add(inner).build()).build();
  const { layout } = await opened(t, { outer });
  const { list, warnings } = await told(layout);
  const size = outer.index.manifests.reduce((sum, entry) => sum + entry.size, outer.indexBytes.length);
  assert.deepEqual([list[0]?.size, list[0]?.created], [size, new Date('2020-01-01')]);
  assert.deepEqual(warnings, []);
});

test('what tells no time is no matter where a time is told further down', async (t) => {
  const broken = datedImage('broken', '2021-01-01T00:00:00Z');
  const [first, second] = [good, timeless].map((one) => index().add(one).build());
  assert.ok(first && second);
  const outer = index().add(broken).add(first).add(second).build();
  const { layout, path } = await opened(t, { outer });
  rmSync(path(broken.manifest.config));
  const { list, warnings } = await told(layout);
  assert.deepEqual([list[0]?.created, warnings], [new Date('2020-01-01'), []]);
  rmSync(path(good.manifest.config));
  assert.match((await told(layout)).warnings.join('\n'), /^[^\n]*no such blob[^\n]*; listed without a time \(outer\)$/);
});

test('of many indexes in an index eight are asked for a time', async (t) => {
  const outer = index();
  for (let entry = 0; entry < 8; entry += 1) {
    outer.add(
      index()
        .fields({ annotations: { at: `${entry}` } })
        .build(),
    );
  }
  const { layout } = await opened(t, { outer: outer.add(index().add(good).build()).build() });
  assert.equal((await told(layout)).list[0]?.created, undefined);
});

test('an index with nothing in it has its own size', async (t) => {
  const built = index().build();
  const { layout } = await opened(t, { built });
  assert.deepEqual(await told(layout), {
    list: [{ digest: built.descriptor.digest, size: built.indexBytes.length, tags: ['built'] }],
    warnings: [],
  });
});

test('a time that is none is passed over: an annotation for the config, a config for the next', async (t) => {
  const built = index().annotations({ 'org.opencontainers.image.created': 'soon' }).add(timeless).add(good).build();
  const { layout } = await opened(t, { built, timeless });
  const { list, warnings } = await told(layout);
  assert.deepEqual(
    list.map(({ tags, created }) => [tags, created]),
    [
      [['timeless'], undefined],
      [['built'], new Date('2020-01-01')],
    ],
  );
  assert.deepEqual(warnings, []);
});

test('a blob that is no file hides no other image', async (t) => {
  const { layout, path } = await opened(t, { good, timeless });
  rmSync(path(timeless.descriptor));
  mkdirSync(path(timeless.descriptor));
  const { list, warnings } = await told(layout);
  assert.deepEqual(
    list.map(({ tags }) => tags),
    [['good']],
  );
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /not a regular file.*; left out \(timeless\)$/);
});

test('a blob of an archive that is a link to itself hides no other image, and no referrer', async (t) => {
  const about = image().subject(good.descriptor, 'application/vnd.example.signature').build();
  const also = image().subject(good.descriptor, 'application/vnd.example.sbom').build();
  const tar = new LayerBuilder();
  tar.file('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
  const manifests = [about, also, good].map(({ descriptor }) => descriptor);
  tar.file('index.json', JSON.stringify({ schemaVersion: 2, manifests }));
  const name = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  for (const [digest, bytes] of [...also.blobs, ...good.blobs]) tar.file(name(digest), bytes);
  tar.symlink(name(about.descriptor.digest), about.descriptor.digest.slice(7));
  const file = join(tempDir(t), 'layout.tar');
  writeFileSync(file, tar.tar());
  const archive = await OciArchive.open(file);
  t.after(() => archive.close());
  const { list, warnings } = await told(archive);
  assert.deepEqual([list.length, warnings.length], [2, 1], warnings.join('\n'));
  assert.match(warnings[0] ?? '', /is a loop of links.*; left out$/);
  const heard = collectWarnings();
  const found: Descriptor[] = [];
  for await (const one of archive.referrers(good.descriptor, undefined, heard)) found.push(one);
  assert.deepEqual(
    found.map(({ digest }) => digest),
    [also.descriptor.digest],
  );
  assert.match(heard.warnings.join('\n'), /^[^\n]*is a loop of links[^\n]*; it may be a referrer, and is left out$/);
});

test('what is remembered of a manifest leaves out what its config carries in itself', async (t) => {
  const config = { ...good.manifest.config, data: good.configBytes.toString('base64') };
  const carrying = image()
    .manifestFields({ ...good.manifest, config })
    .build();
  const { layout } = await opened(t, { built: index().add(carrying).add(good).build() });
  const { fetch } = layout;
  let asked = 0;
  layout.fetch = (target, options) => {
    if (target.digest === config.digest) asked += 1;
    return fetch.call(layout, target, options);
  };
  const { list } = await told(layout);
  assert.deepEqual([list[0]?.created, asked], [new Date('2020-01-01'), 1]);
});

test('wrong bytes, a failure of the way there and an abort end the list, wherever they strike', async (t) => {
  const built = index().add(good).build();
  const { layout } = await opened(t, { timeless, built });
  const { fetch } = layout;
  const abort = new AbortController();
  const reason = new Error('enough');
  const blow = (failure: () => never, options?: { readonly signal?: AbortSignal }): Promise<unknown> => {
    layout.fetch = async (target, call) => {
      if (target.digest === struck) failure();
      return fetch.call(layout, target, call);
    };
    return listInstances(layout, options);
  };
  let struck = '';
  for (const part of [built.descriptor, good.descriptor, good.manifest.config]) {
    struck = part.digest;
    for (const code of ['ERR_DIGEST_MISMATCH', 'ERR_SIZE_MISMATCH', 'ERR_NETWORK', 'ERR_PERMISSION'] as const) {
      const failure = (): never => {
        throw new RootfsError(code, 'it went wrong');
      };
      await assert.rejects(blow(failure), { code }, `${struck} ${code}`);
    }
    const broken = (): never => {
      throw Object.assign(new Error('the disk is gone'), { code: 'EIO' });
    };
    await assert.rejects(blow(broken), { code: 'ERR_FILESYSTEM' }, struck);
  }
  const given = (): never => {
    abort.abort(reason);
    throw new RootfsError('ERR_NOT_FOUND', 'it is not here');
  };
  await assert.rejects(blow(given, { signal: abort.signal }), (error) => error === reason);
});

test('a tag of a registry that cannot be resolved hides none of the others', async (t) => {
  const registry = await startRegistry();
  t.after(() => registry.close());
  registry.add('app', 'good', good);
  registry.add('app', 'huge', document(manifestType, { schemaVersion: 2, text: 'x'.repeat(4 * 1024 * 1024) }));
  registry.fault({ on: 'manifest', method: 'HEAD', do: 'answer', status: 405, times: 9 });
  const options = { findCredentials: false, findEndpoints: false } as const;
  const { repository } = await openRepository(`${registry.host}/app`, options);
  const { list, warnings } = await told(repository);
  assert.deepEqual(
    list.map(({ tags }) => tags),
    [['good']],
  );
  assert.equal(warnings.length, 1, warnings.join('\n'));
  assert.match(warnings[0] ?? '', /longer than 4194304.*; left out \(huge\)$/);
});
