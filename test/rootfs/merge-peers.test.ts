/**
 * The corners that other tools' suites cover, each with a counterpart here: containerd (breakouts, whiteouts), moby and
 * containers/storage (invalid names and links, a chain of layers with whiteouts), umoci (scoping, opaque trees, hard
 * links), stereoscope (squashing), go-containerregistry (extraction), node-tar (odd entries).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNode } from '../../src/rootfs/find-node.js';
import type { MergedTree, TreeNode } from '../../src/rootfs/tree.js';
import { dir, file, link, merged, opaque, outline, symlink, whiteout } from '../support/layer-tars.js';
import { member, pax } from '../support/raw-tar.js';

const rejected = { code: 'ERR_LAYER_INVALID' };

function stat(tree: MergedTree, path: string): TreeNode {
  const node = findNode(tree, path, { links: 'all' });
  assert.ok(node !== undefined, `${path} is not there`);
  return node;
}

const passwd = [dir('etc', { mode: '0000770\0' }), file('/etc/passwd', 'inside')];

test('a file written through a link lands inside the root', async (t) => {
  const cases: Record<string, Buffer[]> = {
    absolute: [symlink('localetc', '/etc'), file('/localetc/unbroken', '!')],
    'up and out': [dir('dummy'), symlink('localetc', '/dummy/../etc'), file('/localetc/unbroken', '!')],
    'several, absolute': [
      dir('dummy'),
      symlink('/dummy/etc', '/etc'),
      symlink('localetc', '/dummy/etc'),
      file('/dummy/etc/unbroken', '!'),
    ],
    'several, relative': [
      dir('dummy'),
      symlink('/dummy/etc', '/etc'),
      symlink('localetc', './dummy/etc'),
      file('localetc/unbroken', '!'),
    ],
    'many steps up': [symlink('localetc', '../../../../../../etc'), file('localetc/unbroken', '!')],
    'past what is missing': [symlink('localetc', 'missing/../../../etc'), file('localetc/unbroken', '!')],
    'to the root itself': [symlink('root', '/'), file('root/etc/unbroken', '!')],
    'to the root by dots': [dir('a'), symlink('a/up', '../../..'), file('a/up/etc/unbroken', '!')],
  };
  for (const [name, members] of Object.entries(cases)) {
    const tree = await merged(t, {}, [dir('etc'), ...members]);
    assert.equal(stat(tree, 'etc/unbroken').inode.size, 1, name);
  }
});

test('a file emptied through a link is the one the link leads to', async (t) => {
  const tree = await merged(t, {}, [dir('etc'), file('etc/x', 'full'), symlink('l', '/etc'), file('/l/x', '')]);
  assert.equal(stat(tree, 'etc/x').inode.size, 0);
});

test('a hard link whose target goes through links is the file they lead to inside the root', async (t) => {
  const cases: Record<string, [Buffer[], string]> = {
    relative: [[dir('out'), symlink('out/d', '../../etc'), link('out/p', '/out/d/passwd')], 'out/p'],
    'down and out': [
      [dir('out'), dir('down'), symlink('out/d', '../down/../../etc'), link('out/p', '/out/d/passwd')],
      'out/p',
    ],
    absolute: [[symlink('l', '/etc'), link('p', '/l/passwd')], 'p'],
    'relative, long': [[symlink('l', '../../../../../../../etc'), link('p', '/l/passwd')], 'p'],
    'up and out': [[symlink('l', 'upandout/../../../etc'), link('p', '/l/passwd')], 'p'],
    'direct, relative': [[link('p', '../../../../../etc/passwd')], 'p'],
    'direct, absolute': [[link('p', '/etc/passwd')], 'p'],
    'below a directory with a slash': [[dir('l/'), link('/l/p', '/etc/passwd')], 'l/p'],
    'a link in the place of a directory': [[dir('l'), symlink('l', '/etc'), link('/l/p', '/etc/passwd')], 'l/p'],
  };
  for (const [name, [members, path]] of Object.entries(cases)) {
    const tree = await merged(t, {}, [...passwd, ...members]);
    assert.equal(stat(tree, path).inode, stat(tree, 'etc/passwd').inode, name);
  }
});

test('a hard link to a symbolic link is that link, before or after what it leads to', async (t) => {
  for (const target of ['/etc/passwd', '../../../../../etc/passwd']) {
    const tree = await merged(t, {}, [symlink('l', target), link('h', '/l'), ...passwd]);
    assert.equal(findNode(tree, 'h')?.inode, findNode(tree, 'l')?.inode);
    assert.equal(stat(tree, 'h').inode, stat(tree, 'etc/passwd').inode);
  }
});

test('a directory over a link: what is put into it afterwards is not where the link led', async (t) => {
  const lower = [...passwd, symlink('localetc', 'etc'), link('/localetc/shadow', '/etc/passwd')];
  const tree = await merged(t, {}, lower, [dir('/localetc/'), file('/localetc/shadow', 'different')]);
  assert.equal(stat(tree, 'etc/shadow').inode.size, 6);
  assert.equal(stat(tree, 'localetc/shadow').inode.size, 9);
  const linked = await merged(t, {}, [...passwd, symlink('l', '/etc')], [dir('/l/'), link('/l/p', '/etc/passwd')]);
  assert.equal(findNode(linked, 'etc/p'), undefined);
  assert.equal(stat(linked, 'l/p').inode, stat(linked, 'etc/passwd').inode);
});

test('a directory turned into a link to the root and back: each write lands where the path led then', async (t) => {
  const tree = await merged(t, {}, [
    dir('foo'),
    dir('foo/tmp'),
    file('foo/tmp/x', '1'),
    symlink('foo', '/'),
    file('foo/tmp/x', '22'),
    dir('foo'),
    dir('foo/tmp'),
    file('foo/tmp/x', '333'),
  ]);
  assert.deepEqual(outline(tree), ['foo/', 'foo/tmp/', 'foo/tmp/x 0+3', 'tmp/ (made)', 'tmp/x 0+2']);
});

test('a name below one that only looks like a whiteout hides nothing', async (t) => {
  const tree = await merged(t, {}, [...passwd], [file('.wh.etc/somefile', 'non-empty')]);
  assert.equal(stat(tree, 'etc/passwd').inode.size, 6);
  assert.equal(stat(tree, '.wh.etc/somefile').inode.size, 9);
});

test('whiteouts of links hide the link, through dangling links nothing', async (t) => {
  const lower = [...passwd, symlink('localetc', '/etc'), symlink('dead', '/nowhere')];
  const tree = await merged(t, {}, lower, [whiteout('localetc'), whiteout('dead/etc'), whiteout('dead/passwd')]);
  assert.deepEqual(outline(tree), ['dead -> /nowhere', 'etc/ 770', 'etc/passwd 0+6']);
});

test('names that lead out are refused, links that do are only links', async (t) => {
  for (const name of ['../victim/dotdot', '/../victim/slash-dotdot', 'a/../../b', 'localetc/sub/..']) {
    await assert.rejects(merged(t, {}, [file(name)]), rejected, name);
    await assert.rejects(merged(t, {}, [whiteout(`${name}/x`)]), rejected, name);
  }
  const windows = ['..\\..\\tmp\\evil', '\\tmp\\evil', 'C:\\tmp\\evil', 'C:..\\evil'];
  assert.equal(
    (
      await merged(
        t,
        {},
        windows.map((name) => file(name)),
      )
    ).entries,
    4,
    'names like any other here',
  );
  const tree = await merged(t, {}, [symlink('a', '../victim/hello'), symlink('b', '/../victim/hello'), link('c', 'a')]);
  assert.deepEqual(outline(tree), ['a -> ../victim/hello', 'b -> /../victim/hello', 'c = a']);
});

test('hard links out of the root find nothing, alone and as the base of others', async (t) => {
  for (const members of [
    [link('dotdot', '../victim/hello')],
    [link('slash-dotdot', '/../victim/hello')],
    [link('loophole', '../victim'), file('loophole/file', 'x'), link('late', 'loophole')],
    [link('loophole', '../victim'), symlink('symlink', 'loophole/hello')],
    [link('loophole', '../victim'), link('hardlink', 'loophole/hello')],
    [symlink('loophole', '../victim'), link('hardlink', 'loophole/hello')],
  ]) {
    await assert.rejects(merged(t, {}, members), rejected);
  }
  const tree = await merged(t, {}, [symlink('loophole', '../victim'), file('loophole', 'x'), file('victim', 'kept')]);
  assert.deepEqual(outline(tree), ['loophole 0+1', 'victim 0+4']);
});

test('four layers in a row with whiteouts, opaque ones and hidden names', async (t) => {
  const base = [
    file('.baz'),
    dir('bar/'),
    file('bar/bax'),
    dir('bar/bay/'),
    file('baz'),
    dir('foo/'),
    file('foo/.abc'),
    dir('foo/.bcd/'),
    file('foo/.bcd/a'),
    dir('foo/cde/'),
    file('foo/cde/def'),
    file('foo/cde/efg'),
    file('foo/fgh'),
    file('foobar'),
  ];
  const second = [
    file('.bay'),
    whiteout('baz'),
    dir('foo/'),
    file('foo/.bce'),
    opaque('foo'),
    dir('foo/cde/'),
    file('foo/cde/efg'),
  ];
  const third = [
    file('.bay'),
    whiteout('.baz'),
    whiteout('foobar'),
    dir('foo/'),
    file('foo/.abc'),
    whiteout('foo/cde'),
    dir('bar/'),
  ];
  const fourth = [file('.abc'), opaque(''), file('foobar')];
  const names = async (...layers: Buffer[][]): Promise<string[]> =>
    outline(await merged(t, {}, ...layers)).map((line) => line.replace(/ \d.*$/, ''));
  assert.deepEqual(await names(base, base), await names(base));
  assert.deepEqual(await names(base, second), [
    '.bay',
    '.baz',
    'bar/',
    'bar/bax',
    'bar/bay/',
    'foo/',
    'foo/.bce',
    'foo/cde/',
    'foo/cde/efg',
    'foobar',
  ]);
  assert.deepEqual(await names(base, second, third), [
    '.bay',
    'bar/',
    'bar/bax',
    'bar/bay/',
    'foo/',
    'foo/.abc',
    'foo/.bce',
  ]);
  assert.deepEqual(await names(base, second, third, fourth), ['.abc', 'foobar']);
});

test('an opaque directory of several levels keeps what its own layer put there, at every level', async (t) => {
  const lower = [
    dir('dir'),
    file('dir/file'),
    symlink('dir/link', '..'),
    symlink('dir/bad', './nothing'),
    dir('dir/sub'),
    file('dir/sub/file'),
    symlink('dir/sub/worse', '../../../../../etc/shadow'),
    dir('dir/sub/deep'),
    file('dir/sub/deep/file'),
  ];
  const upper = [symlink('dir/link', '..'), file('dir/sub/deep/new', 'n'), dir('dir/sub/empty')];
  for (const layer of [
    [opaque('dir'), ...upper],
    [...upper, opaque('dir')],
  ]) {
    assert.deepEqual(outline(await merged(t, {}, lower, layer)), [
      'dir/',
      'dir/link -> ..',
      'dir/sub/ (made)',
      'dir/sub/deep/ (made)',
      'dir/sub/deep/new 1+1',
      'dir/sub/empty/',
    ]);
  }
});

test('an opaque whiteout where the layers below have no directory makes none', async (t) => {
  assert.deepEqual(outline(await merged(t, {}, [file('home', 'f')], [opaque('home/luhring')])), ['home 0+1']);
  assert.deepEqual(outline(await merged(t, {}, [file('home', 'f')], [opaque('home')])), ['home 0+1']);
});

test('squashing: a file becomes a directory, a directory a file, with nothing left below it', async (t) => {
  const lower = [file('home/more', 'm'), dir('home/moredir'), file('home/some/overlap', 'old')];
  const upper = [file('home/more/things', 't'), file('home/moredir/things', 't'), file('home/some/overlap', 'newer')];
  assert.deepEqual(outline(await merged(t, {}, lower, upper)), [
    'home/ (made)',
    'home/more/ (made)',
    'home/more/things 1+1',
    'home/moredir/',
    'home/moredir/things 1+1',
    'home/some/ (made)',
    'home/some/overlap 1+5',
  ]);
  const replaced = await merged(t, {}, [file('home/awesome/place/thing')], [file('home/awesome/place')]);
  assert.deepEqual(outline(replaced), ['home/ (made)', 'home/awesome/ (made)', 'home/awesome/place 1+0']);
});

test('hard links across layers, one of their names hidden afterwards', async (t) => {
  const lower = [file('reg', '1'), link('hard', '/reg'), symlink('sym', 'reg'), link('hardsym', '../../../sym')];
  const tree = await merged(t, {}, lower, [link('hard2', '../../../reg')], [whiteout('reg'), whiteout('sym')]);
  assert.deepEqual(outline(tree), ['hard 0+1', 'hard2 = hard', 'hardsym -> reg']);
});

test('odd entries: a link without a target, a name without bytes, a device as a link', async (t) => {
  await assert.rejects(merged(t, {}, [file('a'), link('b', '')]), rejected);
  await assert.rejects(merged(t, {}, [symlink('b', '')]), rejected);
  await assert.rejects(merged(t, {}, [file('', 'x')]), rejected);
  const tree = await merged(t, {}, [member({ name: 'x', type: '2', linkname: '/dev/null' }), file('x', 'now a file')]);
  assert.deepEqual(outline(tree), ['x 0+10']);
});

test('a directory of every layer keeps its content under the last attributes', async (t) => {
  const layer = (mode: string, name: string): Buffer[] => [dir('d', { mode }), file(`d/${name}`, name)];
  const tree = await merged(t, {}, layer('0000700\0', 'a'), layer('0000750\0', 'b'), layer('0001777\0', 'c'));
  assert.deepEqual(outline(tree), ['d/ 1777', 'd/a 0+1', 'd/b 1+1', 'd/c 2+1']);
});

test('extended attributes come along, and are replaced as a whole', async (t) => {
  const first = [
    pax([
      ['SCHILY.xattr.user.a', '1'],
      ['SCHILY.xattr.security.capability', '\x01\n\xff'],
    ]),
    dir('d'),
  ];
  const second = [pax([['SCHILY.xattr.user.b', '2']]), dir('d')];
  const one = await merged(t, {}, first);
  assert.deepEqual(
    [...(stat(one, 'd').inode.xattrs ?? [])].map(([key, value]) => [key, value.toString('latin1')]),
    [
      ['user.a', '1'],
      ['security.capability', '\x01\n\xff'],
    ],
  );
  assert.deepEqual([...(stat(await merged(t, {}, first, second), 'd').inode.xattrs?.keys() ?? [])], ['user.b']);
  assert.equal(stat(await merged(t, {}, first, [dir('d')]), 'd').inode.xattrs, undefined);
});
