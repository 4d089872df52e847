/** The guards of the merge, its options, and what it does when it fails. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { readLayerChanges } from '../../src/rootfs/layer-changes.js';
import { type MergeOptions, mergeLayers } from '../../src/rootfs/merge.js';
import { dir, file, layerTars, link, merged, opaque, outline, symlink, whiteout } from '../support/layer-tars.js';
import { pax } from '../support/raw-tar.js';

const exceeded = (option: string) => (error: unknown) => {
  assert.ok(error instanceof RootfsError, String(error));
  assert.equal(error.code, 'ERR_LIMIT_EXCEEDED');
  assert.equal(error.detail['option'], option);
  return true;
};

test('names in the tree: made directories count, removed names do not', async (t) => {
  await assert.rejects(merged(t, { maxEntries: 3 }, [file('a/b/c/d')]), exceeded('maxEntries'));
  assert.equal((await merged(t, { maxEntries: 4 }, [file('a/b/c/d')])).entries, 4);
  const full = [file('a'), file('b'), file('c')];
  assert.equal((await merged(t, { maxEntries: 3 }, full, [whiteout('a'), file('d')], [opaque('')], full)).entries, 3);
});

test('depth counts where a name lies, not how it was reached', async (t) => {
  await assert.rejects(merged(t, { maxDepth: 3 }, [file('a/b/c/d')]), exceeded('maxDepth'));
  assert.equal((await merged(t, { maxDepth: 4 }, [file('a/b/c/d')])).entries, 4);
  const climb = [file('a/b/c'), symlink('l', 'a/b'), dir('l/d'), symlink('m', 'l/d'), file('m/e/f')];
  await assert.rejects(merged(t, { maxDepth: 4 }, climb), exceeded('maxDepth'));
  await assert.rejects(merged(t, {}, [pax([['path', 'd/'.repeat(256)]]), dir('x')]), exceeded('maxDepth'));
});

test('bytes of a name and of a path', async (t) => {
  const name = 'n'.repeat(255);
  assert.equal((await merged(t, {}, [pax([['path', name]]), file('x')])).entries, 1);
  await assert.rejects(merged(t, {}, [pax([['path', `${name}n`]]), file('x')]), exceeded('maxNameBytes'));
  const deep = [file('aaaa/bbbb/cccc'), symlink('l', 'aaaa/bbbb')];
  assert.equal((await merged(t, { maxPathBytes: 14 }, deep, [file('l/dddd')])).entries, 5);
  await assert.rejects(merged(t, { maxPathBytes: 14 }, deep, [file('l/ddddd')]), exceeded('maxPathBytes'));
});

test('bytes of files, holes included; hard links count once', async (t) => {
  const files = [file('a', 'xx'), link('b', 'a'), file('c', 'x')];
  assert.equal((await merged(t, { maxDataBytes: 3 }, files)).dataBytes, 3);
  assert.equal((await merged(t, { maxDataBytes: 3 }, files, [file('c', 'y')], [link('c', 'a')])).dataBytes, 2);
  await assert.rejects(merged(t, { maxDataBytes: 2 }, files), exceeded('maxDataBytes'));
  const hole = [
    pax([
      ['GNU.sparse.size', '9007199254740991'],
      ['GNU.sparse.map', '0,0'],
    ]),
    file('hole'),
  ];
  await assert.rejects(merged(t, {}, hole), exceeded('maxDataBytes'));
});

test('paths of what is hidden count as long as they are, not as the layers write them', async (t) => {
  const deep = 'd'.repeat(90);
  const names = Array.from({ length: 40 }, (_, index) => `l/${index}`);
  const layers = [
    [file(`${deep}/x`), symlink('l', deep), ...names.map((name) => file(name))],
    names.map((name) => file(name)),
  ];
  const options = { maxMetadataBytes: 3_000 };
  assert.equal((await merged(t, options, ...layers)).entries, 43);
  await assert.rejects(merged(t, { ...options, hidden: true }, ...layers), exceeded('maxMetadataBytes'));
  assert.equal((await merged(t, { maxMetadataBytes: 4_000, hidden: true }, ...layers)).hidden.length, 40);
});

test('steps through symbolic links are counted, for entries, whiteouts and hard links', async (t) => {
  const lower = [dir('d'), file('d/x'), symlink('l', '././././d')];
  for (const layer of [[file('l/y')], [whiteout('l/x')], [link('y', 'l/x')]]) {
    await assert.rejects(merged(t, { maxLinkSteps: 4 }, lower, layer), exceeded('maxLinkSteps'));
    await merged(t, { maxLinkSteps: 5 }, lower, layer);
  }
});

test('a chain of 255 links is followed, a longer one is a loop', async (t) => {
  const chain = (length: number): Buffer[] => [
    dir('end'),
    ...Array.from({ length }, (_, index) => symlink(`l${index}`, index === 0 ? 'end' : `l${index - 1}`)),
  ];
  assert.equal((await merged(t, {}, chain(255), [file('l254/x')])).entries, 257);
  await assert.rejects(merged(t, {}, chain(256), [file('l255/x')]), { code: 'ERR_LAYER_INVALID' });
});

test("the tar reader's limits hold here too, and the error says which layer", async (t) => {
  const [base, top] = layerTars(t, [file('a')], [file('b'), file('c')]);
  assert.ok(base !== undefined && top !== undefined);
  await assert.rejects(mergeLayers([base, top], { maxEntries: 1 }), (error: RootfsError) => {
    assert.equal(error.code, 'ERR_LIMIT_EXCEEDED');
    assert.deepEqual([error.detail['layer'], error.detail['path']], [1, top.path]);
    assert.ok(error.message.startsWith(`layer 1 (${top.path}): `), error.message);
    return true;
  });
});

test('names and attributes count over all layers, those of global headers once, and a little for each member', async (t) => {
  const attribute = pax([['SCHILY.xattr.user.a', 'x']]);
  const layers = layerTars(t, [attribute, file('a')], [attribute, file('b')]);
  const each = 'a'.length + 'user.a'.length + 1 + 128;
  await assert.rejects(mergeLayers(layers, { maxMetadataBytes: 2 * each - 1 }), (error: RootfsError) => {
    assert.deepEqual([error.code, error.detail['layer']], ['ERR_LIMIT_EXCEEDED', 1]);
    assert.match(error.message, /"b": bytes of names and attributes in all layers: .* raise maxMetadataBytes/);
    return true;
  });
  await mergeLayers(layers, { maxMetadataBytes: 2 * each });
  const walk = async (maxMetadataBytes: number): Promise<void> => {
    for await (const { layer } of readLayerChanges(layers, { maxMetadataBytes })) assert.ok(layer < 2);
  };
  await assert.rejects(walk(2 * each - 1), { code: 'ERR_LIMIT_EXCEEDED' });
  await walk(2 * each);
  const shared = layerTars(t, [pax([['SCHILY.xattr.user.a', 'x']], 'g'), file('a'), file('b'), file('c')]);
  // or a thousand of them on two million members would be two thousand million to set
  await mergeLayers(shared, { maxMetadataBytes: each + 2 * (1 + 32) });
  await assert.rejects(mergeLayers(shared, { maxMetadataBytes: each + 2 * (1 + 32) - 1 }), {
    code: 'ERR_LIMIT_EXCEEDED',
  });
});

test('where layers are kept apart, the limits are for all of them together', async (t) => {
  const layers = layerTars(t, [file('a/b', 'xx')], [file('a/b', 'xx'), file('c')]);
  const walk = async (limits: MergeOptions, of = layers): Promise<number> => {
    let entries = 0;
    for await (const { tree } of readLayerChanges(of, limits)) entries += tree.entries;
    return entries;
  };
  assert.equal(await walk({ maxEntries: 5, maxDataBytes: 4 }), 5);
  await assert.rejects(walk({ maxEntries: 4 }), (error: RootfsError) => {
    assert.deepEqual([error.detail['layer'], error.detail['found']], [1, 5]);
    return exceeded('maxEntries')(error);
  });
  await assert.rejects(walk({ maxDataBytes: 3 }), exceeded('maxDataBytes'));
  // a directory that is made to hold a whiteout is a name
  const deep = layerTars(t, [file('a/b/c')], [whiteout('a/b/c')]);
  assert.equal(await walk({ maxEntries: 5 }, deep), 5);
  await assert.rejects(walk({ maxEntries: 4 }, deep), exceeded('maxEntries'));
  const through = [dir('d'), symlink('l', '././././d'), file('l/y')];
  const twice = layerTars(t, through, through);
  await walk({ maxLinkSteps: 10 }, twice);
  await assert.rejects(walk({ maxLinkSteps: 9 }, twice), exceeded('maxLinkSteps'));
});

test('options are checked at once', async () => {
  const wrong: MergeOptions[] = [
    { maxDepth: -1 },
    { maxNameBytes: 1.5 },
    { maxLinkSteps: Number.NaN },
    { maxEntries: '7' as unknown as number },
    { hidden: 1 as unknown as boolean },
  ];
  for (const options of wrong) await assert.rejects(mergeLayers([], options), { code: 'ERR_OPTION_INVALID' });
});

test('no layers are an empty root', async () => {
  const tree = await mergeLayers([]);
  assert.deepEqual([tree.entries, tree.inodes, tree.layers, tree.root.inode.mode], [0, 0, 0, 0o755]);
});

test('a layer that is missing or cut is a coded error', async (t) => {
  const [layer] = layerTars(t, [file('a', 'x'.repeat(2000))]);
  assert.ok(layer !== undefined);
  await assert.rejects(mergeLayers([{ path: '/nonexistent/layer', tarBytes: 512 }]), { code: 'ERR_FILESYSTEM' });
  await assert.rejects(mergeLayers([{ ...layer, tarBytes: 1000 }]), { code: 'ERR_TAR_INVALID' });
  await assert.rejects(mergeLayers([{ ...layer, tarBytes: layer.tarBytes + 512 }]), { code: 'ERR_TAR_INVALID' });
  await assert.rejects(mergeLayers([{ ...layer, tarBytes: -1 }]), { code: 'ERR_OPTION_INVALID' });
});

test("an abort is the caller's own reason, before and in the middle, and leaves no file open", async (t) => {
  const reason = new Error('enough');
  await assert.rejects(mergeLayers([], { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  const many = Array.from({ length: 20_000 }, (_, index) => file(`f${index}`));
  const layers = layerTars(t, many);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = process.platform === 'linux' ? open() : 0;
  const abort = new AbortController();
  const merging = mergeLayers(layers, { signal: abort.signal });
  abort.abort(reason);
  await assert.rejects(merging, (error) => error === reason);
  if (process.platform === 'linux') assert.equal(open(), before);
});

test('layers of many links that wait for one another end', async (t) => {
  const count = 5_000;
  const chain = Array.from({ length: count }, (_, index) => link(`l${index}`, `l${index + 1}`));
  const tree = await merged(t, {}, [...chain, file(`l${count}`, 'x')]);
  assert.deepEqual([tree.entries, tree.inodes], [count + 1, 1]);
  await assert.rejects(merged(t, {}, [...chain, link(`l${count}`, 'l0')]), { code: 'ERR_LAYER_INVALID' });
});

test('a folder of very many names can be hidden and replaced', async (t) => {
  const many = Array.from({ length: 130_000 }, (_, index) => file(`d/${index}`));
  const tree = await merged(t, { hidden: true }, [...many, file('e', '1')], [file('d', 'x')], [opaque('')]);
  assert.deepEqual(outline(tree), []);
  assert.deepEqual(
    tree.hidden.filter(({ path }) => !path.startsWith('d/')).map(({ path, how }) => `${path} ${how}`),
    ['e opaque', 'd opaque'],
  );
  assert.equal(tree.hidden.length, 130_002);
});
