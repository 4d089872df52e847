/** Rule 31: whiteouts hide the layers below, wherever they stand, and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dir, file, link, merged, opaque, outline, symlink, whiteout } from '../support/layer-tars.js';
import { member } from '../support/raw-tar.js';

const base = [dir('etc/'), file('etc/a', 'aaa'), file('etc/b', 'bb'), dir('etc/d'), file('etc/d/x', 'x')];

test('a whiteout hides a name of a lower layer', async (t) => {
  const tree = await merged(t, {}, base, [whiteout('etc/a')]);
  assert.deepEqual(outline(tree), ['etc/', 'etc/b 0+2', 'etc/d/', 'etc/d/x 0+1']);
});

test('a whiteout hides a directory with all below it', async (t) => {
  const tree = await merged(t, {}, base, [whiteout('etc/d')]);
  assert.deepEqual(outline(tree), ['etc/', 'etc/a 0+3', 'etc/b 0+2']);
});

test('a whiteout before and after an entry of its own layer hides the lower one only', async (t) => {
  for (const layer of [
    [whiteout('etc/a'), file('etc/a', 'new')],
    [file('etc/a', 'new'), whiteout('etc/a')],
  ]) {
    assert.ok(outline(await merged(t, {}, base, layer)).includes('etc/a 1+3'));
  }
});

test('a whiteout of a directory leaves what its own layer puts there, not the old attributes', async (t) => {
  const lower = [dir('d/', { mode: '0000700\0' }), file('d/old', 'x')];
  for (const layer of [
    [whiteout('d'), file('d/new', 'y')],
    [file('d/new', 'y'), whiteout('d')],
  ]) {
    assert.deepEqual(outline(await merged(t, {}, lower, layer)), ['d/ (made)', 'd/new 1+1']);
  }
});

test('an opaque whiteout hides all a directory holds below, wherever it stands, and keeps the directory', async (t) => {
  const lower = [dir('d/', { mode: '0000700\0' }), file('d/old', 'x'), dir('d/sub'), file('d/sub/y', 'y')];
  for (const layer of [
    [opaque('d'), file('d/new', 'n'), dir('d/sub')],
    [file('d/new', 'n'), dir('d/sub'), opaque('d')],
  ]) {
    assert.deepEqual(outline(await merged(t, {}, lower, layer)), ['d/ 700', 'd/new 1+1', 'd/sub/']);
  }
});

test('an opaque whiteout of the root hides all lower layers', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, base, [file('only', '1'), opaque('')])), ['only 1+1']);
});

test('whiteouts of nothing, of any type, in the first layer: none of them stays', async (t) => {
  const layer = [
    whiteout('nothing'),
    opaque('nowhere'),
    member({ name: '.wh.dev', type: '3', devmajor: '0000000\0', devminor: '0000000\0' }),
    dir('.wh.folder/'),
    symlink('.wh.link', 'target'),
    link('.wh.hard', 'nothing at all'),
    file('kept', 'k'),
  ];
  assert.deepEqual(outline(await merged(t, {}, layer)), ['kept 0+1']);
  assert.deepEqual(outline(await merged(t, {}, [file('dev'), file('folder'), file('link'), file('hard')], layer)), [
    'kept 1+1',
  ]);
});

test('a whiteout without a name is refused', async (t) => {
  for (const name of ['.wh.', 'etc/.wh.', '.wh..', '.wh...', 'etc/.wh...']) {
    await assert.rejects(merged(t, {}, base, [file(name)]), { code: 'ERR_LAYER_INVALID' });
  }
});

test('leftovers of AUFS are skipped; hard links into its folder keep their file', async (t) => {
  const layer = [
    dir('.wh..wh.plnk/', { mode: '0000700\0' }),
    file('.wh..wh.plnk/123.456', 'data'),
    file('.wh..wh.aufs'),
    dir('.wh..wh.orph/'),
    file('a', '1'),
    link('b', '.wh..wh.plnk/123.456'),
    link('c', '/.wh..wh.plnk/123.456'),
  ];
  assert.deepEqual(outline(await merged(t, {}, layer)), ['a 0+1', 'b 0+4', 'c = b']);
});

test('what only looks like a folder of AUFS, below the root, keeps its content', async (t) => {
  const layer = [file('d/.wh..wh.plnk/x', 'x'), file('d/.wh..wh..opq/y', 'y'), whiteout('d/.wh..wh.plnk/none')];
  assert.deepEqual(outline(await merged(t, {}, layer)), [
    'd/ (made)',
    'd/.wh..wh..opq/ (made)',
    'd/.wh..wh..opq/y 0+1',
    'd/.wh..wh.plnk/ (made)',
    'd/.wh..wh.plnk/x 0+1',
  ]);
});

test("a whiteout's directory is found through the lower layer's links, inside the root", async (t) => {
  const lower = [
    dir('usr/'),
    dir('usr/lib'),
    file('usr/lib/x', 'x'),
    file('usr/lib/y', 'y'),
    symlink('lib', 'usr/lib'),
    symlink('abs', '/../../usr/lib'),
  ];
  const rest = ['abs -> /../../usr/lib', 'lib -> usr/lib', 'usr/', 'usr/lib/'];
  assert.deepEqual(outline(await merged(t, {}, lower, [whiteout('lib/x')])), [...rest, 'usr/lib/y 0+1']);
  assert.deepEqual(outline(await merged(t, {}, lower, [whiteout('abs/y')])), [...rest, 'usr/lib/x 0+1']);
  assert.deepEqual(outline(await merged(t, {}, lower, [opaque('lib')])), rest);
  assert.deepEqual(outline(await merged(t, {}, lower, [whiteout('lib')])).includes('lib -> usr/lib'), false);
});

test('an opaque directory put in the place of a link hides nothing of where the link led', async (t) => {
  const lower = [dir('run/'), file('run/pid', '1'), dir('var/'), symlink('var/run', '/run')];
  const upper = [dir('var/run/'), opaque('var/run'), file('var/run/new', 'n'), whiteout('var/run/pid')];
  const own = ['var/', 'var/run/', 'var/run/new 1+1'];
  assert.deepEqual(outline(await merged(t, {}, lower, upper)), ['run/', 'run/pid 0+1', ...own]);
  const before = [opaque('var/run'), dir('var/run/'), file('var/run/new', 'n')];
  assert.deepEqual(outline(await merged(t, {}, lower, before)), ['run/', ...own], 'the link is still there');
});

test('the order of whiteouts in a layer means nothing', async (t) => {
  const lower = [dir('usr/'), file('usr/x', 'x'), symlink('lib', 'usr')];
  for (const layer of [
    [whiteout('lib'), whiteout('lib/x')],
    [whiteout('lib/x'), whiteout('lib')],
  ]) {
    assert.deepEqual(outline(await merged(t, {}, lower, layer)), ['usr/']);
  }
});

test('what was hidden is told on request: by whom, how, and how many bytes', async (t) => {
  const tree = await merged(t, { hidden: true }, base, [whiteout('etc/a'), opaque('etc/d'), file('etc/b', 'new')]);
  assert.deepEqual(
    tree.hidden.map((one) => `${one.path} ${one.layer} ${one.hiddenBy} ${one.how} ${one.type} ${one.size}`),
    ['etc/a 0 1 whiteout file 3', 'etc/d/x 0 1 opaque file 1', 'etc/b 0 1 replaced file 2'],
  );
  assert.deepEqual((await merged(t, {}, base, [whiteout('etc/a')])).hidden, []);
});

test('a directory that a layer first describes and then replaces was hidden, as one that it replaces at once', async (t) => {
  const lower = [dir('d/'), file('d/a', '1'), dir('d/e/'), file('d/e/b', '22')];
  const hidden = async (...layers: readonly (readonly Buffer[])[]): Promise<string[]> =>
    (await merged(t, { hidden: true }, ...layers)).hidden.map(
      ({ path, layer, hiddenBy, how, size }) => `${path} ${layer} ${hiddenBy} ${how} ${size}`,
    );
  for (const described of [[], [dir('d/')], [dir('d/'), dir('d/e'), dir('d/')]]) {
    assert.deepEqual(await hidden(lower, [...described, file('d')]), ['d 0 1 replaced 3']);
  }
  assert.deepEqual(await hidden(lower, [dir('d/')], [dir('d/'), file('d')]), ['d 1 2 replaced 3']);
  // What no layer below had brought is none of it.
  assert.deepEqual(await hidden([], [dir('d/'), file('d')]), []);
  assert.deepEqual(await hidden([file('d/a', '1')], [dir('d/'), file('d')]), ['d/a 0 1 replaced 1']);
});
