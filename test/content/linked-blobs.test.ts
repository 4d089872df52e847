/** Layouts whose files are symbolic links, as Bazel's rules make them, and what hostile ones lead to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { readVerified } from '../../src/content/fetch-verified.js';
import { OciLayout } from '../../src/content/oci-layout.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { writeLayout } from '../../src/testing/testing.js';
import { tempDir } from '../support/temp-dir.js';
import { contractImage, pushBuilt, readContract } from './target-contract.js';

/** Moves a file away and leaves a link to it. */
function swap(path: string, away: string, absolute = true): void {
  renameSync(path, away);
  symlinkSync(absolute ? away : relative(dirname(path), away), path);
}

/** A layout whose every file is a link out of it, the blobs through a second link. */
async function linkedLayout(t: TestContext, built = contractImage()): Promise<string> {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { v1: built });
  const away = `${folder}.away`;
  mkdirSync(away);
  const blobs = join(folder, 'blobs', 'sha256');
  for (const name of readdirSync(blobs)) {
    swap(join(blobs, name), join(away, `${name}.real`));
    swap(join(blobs, name), join(away, name), false);
  }
  for (const name of ['oci-layout', 'index.json']) swap(join(folder, name), join(away, name));
  return folder;
}

function firstLayer(): Descriptor {
  const layer = contractImage().layers[0]?.descriptor;
  assert.ok(layer);
  return layer;
}

/** A layout of regular files but for its first layer. */
async function withLayer(t: TestContext, make: (path: string) => void): Promise<OciLayout> {
  const folder = join(tempDir(t), 'layout');
  await writeLayout(folder, { v1: contractImage() });
  const path = join(folder, 'blobs', 'sha256', firstLayer().digest.slice(7));
  renameSync(path, `${folder}.real`);
  make(path);
  return OciLayout.open(folder);
}

readContract('OCI layout of links', async (t, built) => {
  return { target: await OciLayout.open(await linkedLayout(t, built)), reference: 'v1' };
});

test('an image is extracted from a layout of links', async (t) => {
  const layout = await OciLayout.open(await linkedLayout(t));
  const store = tempDir(t);
  const { layers } = await fetchImage(layout, 'v1', { platform: 'linux/amd64' });
  for (const handle of await extractLayers(layout, layers, store)) {
    assert.equal(handle.tarBytes, lstatSync(handle.path).size);
    await handle.close();
  }
  const located = await layout.blobPath(firstLayer());
  assert.equal(lstatSync(located?.path ?? '').isSymbolicLink(), false);
});

test('a folder of blobs may be a link: it is read, and nothing is written through it', async (t) => {
  for (const name of ['blobs', 'blobs/sha256']) {
    const folder = join(tempDir(t), 'layout');
    await writeLayout(folder, { v1: contractImage() });
    const away = `${folder}.away`;
    swap(join(folder, name), away);
    const layout = await OciLayout.open(folder);
    assert.equal((await readVerified(layout, firstLayer())).length, firstLayer().size);
    const before = readdirSync(away, { recursive: true });
    const refused = { code: 'ERR_LAYOUT_INVALID', message: /a link to a folder, through which nothing is written/ };
    await assert.rejects(pushBuilt(layout, contractImage(), 'v2'), refused);
    await assert.rejects(layout.tag(contractImage().descriptor, 'v2'), refused);
    await assert.rejects(layout.delete(firstLayer()), refused);
    assert.deepEqual(readdirSync(away, { recursive: true }), before);
  }
});

const SECRET = 'x-do-not-show-this';

const BAD: Readonly<Record<string, { readonly make: (path: string) => void; readonly code: string }>> = {
  'to nowhere': { make: (path) => symlinkSync('nowhere', path), code: 'ERR_NOT_FOUND' },
  'to a file below a file': { make: (path) => symlinkSync('/etc/passwd/below', path), code: 'ERR_NOT_FOUND' },
  'to itself': { make: (path) => symlinkSync(path, path), code: 'ERR_LAYOUT_INVALID' },
  'in a circle': {
    make: (path) => {
      symlinkSync(`${path}.b`, path);
      symlinkSync(path, `${path}.b`);
    },
    code: 'ERR_LAYOUT_INVALID',
  },
  'to a device that never ends': { make: (path) => symlinkSync('/dev/zero', path), code: 'ERR_LAYOUT_INVALID' },
  'to a folder': { make: (path) => symlinkSync('/', path), code: 'ERR_LAYOUT_INVALID' },
  'to a FIFO nobody writes to': {
    make: (path) => {
      execFileSync('mkfifo', [`${path}.fifo`]);
      symlinkSync(`${path}.fifo`, path);
    },
    code: 'ERR_LAYOUT_INVALID',
  },
  'to a secret of another length': {
    make: (path) => {
      writeFileSync(`${path}.secret`, SECRET);
      symlinkSync(`${path}.secret`, path);
    },
    code: 'ERR_DIGEST_MISMATCH',
  },
  'to a secret of the right length': {
    make: (path) => {
      writeFileSync(`${path}.secret`, SECRET.padEnd(firstLayer().size, SECRET));
      symlinkSync(`${path}.secret`, path);
    },
    code: 'ERR_DIGEST_MISMATCH',
  },
  'to a file that begins as the blob does': {
    make: (path) => {
      const real = join(dirname(path), '..', '..', '..', 'layout.real');
      writeFileSync(`${path}.longer`, Buffer.concat([readFileSync(real), Buffer.from(SECRET)]));
      symlinkSync(`${path}.longer`, path);
    },
    code: 'ERR_DIGEST_MISMATCH',
  },
};

for (const [name, { make, code }] of Object.entries(BAD)) {
  test(`a blob that is a link ${name}: ${code}, and it counts as absent`, async (t) => {
    const layout = await withLayer(t, make);
    const layer = firstLayer();
    assert.equal(await layout.exists(layer), false);
    for (const attempt of [() => layout.fetch(layer), () => layout.blobPath(layer)]) {
      await assert.rejects(attempt(), (error: Error & { code?: string; detail?: object }) => {
        assert.equal(error.code, code, inspect(error));
        assert.match(error.message, /expected a link to .+, (?:found|but) .+; build the folder again, or copy it/);
        // Neither bytes nor their digest or number are anywhere in what is thrown.
        const shown = inspect(error, { depth: 9 });
        assert.doesNotMatch(shown, /do-not-show|found: 'sha256|receivedBytes/);
        return true;
      });
    }
  });
}

test('a linked file that was right and has changed since is hashed again', async (t) => {
  let real = '';
  const layout = await withLayer(t, (path) => {
    real = join(dirname(path), '..', '..', '..', 'layout.real');
    symlinkSync(real, path);
  });
  const layer = firstLayer();
  assert.equal(await layout.exists(layer), true);
  const bytes = readFileSync(real);
  writeFileSync(real, Buffer.concat([Buffer.from('!'), bytes.subarray(1)]));
  assert.equal(await layout.exists(layer), false);
  appendFileSync(real, 'more');
  await assert.rejects(layout.fetch(layer), { code: 'ERR_DIGEST_MISMATCH' });
  writeFileSync(real, bytes);
  assert.deepEqual(await readVerified(layout, layer), bytes);
});

test('a blob that is a bad link is replaced when the image is copied there again; its end is left alone', async (t) => {
  let path = '';
  const layout = await withLayer(t, (at) => {
    path = at;
    writeFileSync(`${at}.secret`, SECRET);
    symlinkSync(`${at}.secret`, at);
  });
  await pushBuilt(layout, contractImage(), 'v1');
  assert.equal(lstatSync(path).isFile(), true);
  assert.equal(readFileSync(`${path}.secret`, 'utf8'), SECRET);
});

test('documents that are links: followed, and what a wrong one leads to is not said', async (t) => {
  const fresh = async (): Promise<string> => {
    const folder = join(tempDir(t), 'layout');
    await writeLayout(folder, { v1: contractImage() });
    return folder;
  };
  const secrets = [SECRET, `{"schemaVersion":"${SECRET}"}`, `{"${SECRET}":1}`, `{"imageLayoutVersion":"${SECRET}"}`];
  for (const name of ['oci-layout', 'index.json']) {
    for (const secret of secrets) {
      const folder = await fresh();
      unlinkSync(join(folder, name));
      writeFileSync(`${folder}.secret`, secret);
      symlinkSync(`${folder}.secret`, join(folder, name));
      const opened = async (): Promise<unknown> => (await OciLayout.open(folder)).resolve('');
      await assert.rejects(opened(), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_LAYOUT_INVALID');
        assert.match(error.message, /a link to a file that is no such document of a layout; build the layout again/);
        assert.doesNotMatch(inspect(error, { depth: 9 }), /do-not-show/);
        return true;
      });
      assert.equal(existsSync(`${folder}.secret`), true);
    }
    for (const [end, code] of [
      ['/dev/zero', 'ERR_LAYOUT_INVALID'],
      ['/', 'ERR_LAYOUT_INVALID'],
      ['nowhere', 'ERR_NOT_FOUND'],
    ] as const) {
      const folder = await fresh();
      rmSync(join(folder, name));
      symlinkSync(end, join(folder, name));
      await assert.rejects(async () => (await OciLayout.open(folder)).resolve(''), { code }, `${name} ${end}`);
    }
  }
});

test('a name given in a layout of links replaces the link to index.json, not the file it leads to', async (t) => {
  const folder = await linkedLayout(t);
  const before = readFileSync(`${folder}.away/index.json`);
  const layout = await OciLayout.open(folder);
  await layout.tag(contractImage().descriptor, 'v2');
  assert.equal((await layout.resolve('v2')).digest, contractImage().descriptor.digest);
  assert.deepEqual(readFileSync(`${folder}.away/index.json`), before);
});
