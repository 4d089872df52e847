/** Whatever stands in the documents of local forms: an answer or a coded error, never anything else. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readRecord } from '../../src/content/blob-record.js';
import { DockerArchive } from '../../src/content/docker-archive.js';
import { pickImage, readImageList } from '../../src/content/docker-image-list.js';
import { ingestPath, readIngest } from '../../src/content/ingest-state.js';
import { LayoutIndex } from '../../src/content/layout-index.js';
import { RootfsError } from '../../src/errors.js';
import { dockerArchive } from '../support/archives.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage } from './target-contract.js';

const settings = { seed: 20, numRuns: 400 };

/** JSON of the right shape with anything at all in its places. */
function shaped(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const known = Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, fc.oneof({ weight: 4, arbitrary: value }, fc.jsonValue())]),
  );
  return fc.oneof({ weight: 4, arbitrary: fc.record(known, { requiredKeys: [] }) }, fc.jsonValue());
}

const text = fc.oneof(
  fc.constant(JSON.stringify),
  fc.constant((value: unknown) => JSON.stringify(value).slice(0, -1)),
);

async function answersOrCodes(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof RootfsError, String(error));
    assert.notEqual(error.code, 'ERR_INTERNAL');
  }
}

test('manifest.json of an archive', async () => {
  const names = fc.array(fc.oneof(fc.string(), fc.constant('app:v1'), fc.constant('__proto__')));
  const image = shaped({ Config: fc.string(), RepoTags: names, Layers: names });
  await fc.assert(
    fc.asyncProperty(fc.array(image), text, fc.string(), async (images, write, reference) => {
      await answersOrCodes(() => pickImage(readImageList(Buffer.from(write(images)), 'it'), reference, 'it'));
    }),
    settings,
  );
});

test('index.json of a layout', async () => {
  const digest = fc.constantFrom(`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`, 'sha256:../..', 'x:y');
  const entry = shaped({
    mediaType: fc.constantFrom('application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json'),
    digest,
    size: fc.integer(),
    annotations: fc.dictionary(fc.constantFrom('org.opencontainers.image.ref.name', '__proto__', 'x'), fc.string()),
    platform: shaped({ os: fc.string(), architecture: fc.string() }),
  });
  const index = shaped({ schemaVersion: fc.constant(2), manifests: fc.array(entry) });
  const references = fc.oneof(fc.string(), digest, fc.constant(''), fc.constant('constructor'));
  await fc.assert(
    fc.asyncProperty(index, text, references, async (value, write, reference) => {
      await answersOrCodes(async () => {
        const parsed = new LayoutIndex(Buffer.from(write(value)), 'it');
        parsed.names();
        await parsed.resolve(reference, async () => Buffer.from(write(value)));
      });
    }),
    settings,
  );
});

test('records and ingest states are read or are none', async (t) => {
  const folder = tempDir(t);
  const path = join(folder, 'record.json');
  const record = shaped({
    size: fc.integer(),
    mtimeNs: fc.oneof(fc.bigInt().map(String), fc.string()),
    compressed: fc.array(fc.string()),
    labels: fc.dictionary(fc.string(), fc.string()),
  });
  await fc.assert(
    fc.asyncProperty(record, text, async (value, write) => {
      writeFileSync(path, write(value));
      const read = await readRecord(path);
      assert.equal(Object.getPrototypeOf(read?.labels ?? {}), Object.prototype);
    }),
    settings,
  );
  const ingest = ingestPath(folder, 'any');
  const state = shaped({ ref: fc.string(), startedAt: fc.integer(), expected: shaped({ digest: fc.string() }) });
  await fc.assert(
    fc.asyncProperty(state, text, async (value, write) => {
      writeFileSync(join(folder, 'state.json'), write(value));
      await readIngest(folder);
      assert.equal(await readIngest(ingest), undefined);
    }),
    settings,
  );
});

test('archives with bytes changed anywhere', async (t) => {
  const path = join(tempDir(t), 'image.tar');
  const good = dockerArchive([{ built: contractImage() }], { style: 'blobs', compressed: true });
  const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(good.length), async (list, length) => {
      const bytes = Buffer.from(good.subarray(0, length % 3 === 0 ? length : good.length));
      for (const [at, value] of list) if (at < bytes.length) bytes[at] = value;
      writeFileSync(path, bytes);
      await answersOrCodes(async () => {
        const archive = await DockerArchive.open(path, { temporaryFolder: join(path, '..') });
        await archive.resolve('').finally(() => archive.close());
      });
    }),
    settings,
  );
});
