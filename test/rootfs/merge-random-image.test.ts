/** The merge engine against the trees that `randomImage` says its images must become. ROOTFS_IMAGES sets how many. */
import { test } from 'node:test';
import { mergeLayers } from '../../src/rootfs/merge.js';
import type { ExpectedNode, ExpectedTree } from '../../src/testing/expected-tree.js';
import { randomImage } from '../../src/testing/random-image.js';
import { DifferenceLedger } from '../support/difference-ledger.js';
import { differences, type Facts, type FlatTree, flatMerged, xattrText } from '../support/flat-tree.js';
import { writeTars } from '../support/random-image.js';
import { readMembers } from '../support/read-all-tar.js';
import { tempDir } from '../support/temp-dir.js';

const images = Number(process.env['ROOTFS_IMAGES'] ?? 1_000);

test(`${images} random images become what they must`, async (t) => {
  const folder = tempDir(t, 'random-image');
  const ledger = new DifferenceLedger('random-image');
  let names = 0;
  for (let seed = 1; seed <= images; seed += 1) {
    const image = randomImage(seed, { compression: 'none' });
    const tars = writeTars(folder, image.layers);
    const tree = await mergeLayers(tars);
    for (const difference of differences(flatMerged(tree, tars), flatExpected(image.expected))) {
      const id = putsDirectoryOverLink(image.layers) ? 'replaced-link' : undefined;
      ledger.note(id, `seed ${seed}: ${JSON.stringify(difference)}`);
    }
    names += tree.entries;
  }
  t.diagnostic(`${images} images, ${names} names; ${ledger.summary()}`);
  ledger.check(images);
});

/** Whether a layer has, in this order, a directory where a lower layer has a link, and a whiteout below it. */
function putsDirectoryOverLink(layers: readonly { readonly tar: Buffer }[]): boolean {
  const links = new Set<string>();
  return layers.some(({ tar }) => {
    const members = readMembers(tar).map(({ name, type }) => ({ type, path: name.replace(/^[./]+|\/$/g, '') }));
    const turned = members.filter(({ type, path }) => type === 'directory' && links.has(path));
    const found = turned.some(({ path }) => {
      const from = members.findIndex((member) => member.path === path && member.type === 'directory');
      return members.slice(from).some((member) => member.path.startsWith(`${path}/`) && member.path.includes('.wh.'));
    });
    for (const { type, path } of members) if (type === 'symlink') links.add(path);
    return found;
  });
}

function flatExpected(tree: ExpectedTree): FlatTree {
  const flat: FlatTree = new Map([['', facts('', tree.root, '')]]);
  const first = new Map<ExpectedNode, string>();
  for (const [path, node] of tree.entries()) {
    const group = node.type === 'directory' ? path : (first.get(node) ?? path);
    first.set(node, group);
    flat.set(path, facts(path, node, group));
  }
  return flat;
}

function facts(path: string, node: ExpectedNode, group: string): Facts {
  const { mode, uid, gid, mtime, xattrs } = node.attributes;
  const device = node.type === 'char' || node.type === 'block';
  return {
    type: node.type,
    mode: node.type === 'symlink' ? 0 : mode,
    owner: `${uid}:${gid}`,
    mtime: String(mtime),
    value: device ? `${node.major}:${node.minor}` : (node.target ?? node.content?.toString('latin1') ?? ''),
    xattrs: xattrText([...xattrs]),
    group: group === '' ? path : group,
  };
}
