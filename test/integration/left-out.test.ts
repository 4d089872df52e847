/** What of an image is not in what a command makes: each kind is said once, in the same words, whatever is made. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { image, LayerBuilder, writeLayout } from '../../src/testing/testing.js';
import { leftovers, mountFolder, run } from '../support/mount-place.js';
import { needsErofs } from '../support/mounted.js';
import { needs } from '../support/tools.js';

const root = process.geteuid?.() === 0;
const BIG = { 'user.big': 'x'.repeat(65_536), 'user.kept': 'v' };
const LOST = 'rootfs: warning: xattrs of 1 entry are lost, f among them';
const SKIPPED = [
  'rootfs: warning: the extended attribute com.* of 1 entry is never written',
  'rootfs: warning: the extended attribute security.selinux of 2 entries is never written',
  'rootfs: warning: the extended attribute user.overlay.* of 1 entry is never written',
];

/** What makes something of an image, the name of what it makes in the middle. */
const MAKING: readonly (readonly [name: string, words: readonly string[], skip: string | false])[] = [
  ['unpack', ['unpack', '--dst'], false],
  ['bundle', ['bundle', '--dst'], false],
  ['overlay', ['overlay', '--dst'], false],
  ['erofs', ['mkfs', '-o'], false],
  ['squashfs', ['mkfs', '--format', 'squashfs', '-o'], needs('tar2sqfs')],
  ['ext4', ['mkfs', '--format', 'ext4', '-o'], needs('mke2fs', 'debugfs')],
];

after(() => {
  if (needsErofs() === false) assert.deepEqual(leftovers(), []);
});

async function layout(folder: string, ...layers: readonly LayerBuilder[]): Promise<string> {
  let built = image().compression('none');
  for (const layer of layers) built = built.layer(layer.tar());
  await writeLayout(join(folder, 'layout'), { latest: built.build() });
  return `oci:${join(folder, 'layout')}:latest`;
}

/** A file in each of two layers, and attributes that are never written. */
function skipped(folder: string): Promise<string> {
  const label = { 'security.selinux': 's0' };
  // two of one entry
  const apple = { 'com.apple.q': 'z', 'com.apple.p': 'y' };
  const first = new LayerBuilder().file('f', 'x', { xattrs: { ...label, ...apple, 'user.kept': 'v' } });
  const second = new LayerBuilder().file('g', 'x', { xattrs: { ...label, 'user.overlay.opaque': 'y' } });
  return layout(folder, first, second);
}

/** Runs a command, and gives what its stderr says of attributes. */
async function said(folder: string, ...words: readonly string[]): Promise<readonly string[]> {
  const { stderr } = await run(...words, '--store', join(folder, 'store'));
  return stderr.split('\n').filter((line) => /xattr|attribute|security|entr(y|ies) is/.test(line));
}

function place(t: TestContext): string {
  const folder = mountFolder(t);
  mkdirSync(join(folder, 'out'));
  return folder;
}

for (const [name, words, skip] of MAKING) {
  test(`${name}: what is never written is said once`, { skip }, async (t) => {
    const folder = place(t);
    const source = await skipped(folder);
    assert.deepEqual([...(await said(folder, ...words, join(folder, 'out/made'), source))].sort(), SKIPPED);
    const quiet = await run(...words, join(folder, 'out/quiet'), source, '-q', '--store', join(folder, 'store'));
    assert.equal(quiet.stderr, '');
  });
}

test('mount: what is never written is said, of metadata that is used again too', { skip: needsErofs() }, async (t) => {
  const folder = place(t);
  const source = await skipped(folder);
  for (const round of ['made', 'used again']) {
    const lines = await said(folder, 'mount', source, join(folder, 'out/root'));
    await run('umount', join(folder, 'out/root'));
    assert.deepEqual([...lines].sort(), SKIPPED, round);
  }
});

test('what may be lost and is lost is said', { skip: root ? needsErofs() : 'needs root to mount' }, async (t) => {
  const folder = place(t);
  const source = await layout(folder, new LayerBuilder().file('f', 'x', { xattrs: BIG }));
  for (const [name, words, skip] of MAKING) {
    // In the others it fits, or the disk says.
    if (words[0] !== 'mkfs' || skip !== false) continue;
    assert.deepEqual(await said(folder, ...words, join(folder, 'out', name), '--allow-loss', source), [LOST], name);
  }
  for (const round of ['made', 'used again']) {
    const lines = await said(folder, 'mount', '--allow-loss', source, join(folder, 'out/root'));
    await run('umount', join(folder, 'out/root'));
    assert.deepEqual(lines, [LOST], round);
  }
});
