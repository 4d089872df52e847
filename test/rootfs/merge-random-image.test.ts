/** The merge engine against the trees that `randomImage` says its images must become. ROOTFS_IMAGES sets how many. */
import { posix } from 'node:path';
import { test } from 'node:test';
import { mergeLayers } from '../../src/rootfs/merge.js';
import type { ExpectedNode, ExpectedTree } from '../../src/testing/expected-tree.js';
import { randomImage } from '../../src/testing/random-image.js';
import { DifferenceLedger } from '../support/difference-ledger.js';
import { differences, type Facts, type FlatTree, flatMerged, xattrText } from '../support/flat-tree.js';
import { writeTars } from '../support/layers.js';
import { readMembers } from '../support/read-all-tar.js';
import { tempDir } from '../support/temp-dir.js';

const images = Number(process.env['ROOTFS_IMAGES'] ?? 1_000);

test(`${images} random images become what they must`, async (t) => {
  const folder = tempDir(t, 'random-image');
  const ledger = new DifferenceLedger('random-image');
  let names = 0;
  for (let seed = 1; seed <= images; seed += 1) {
    const image = randomImage(seed, { compression: 'none' });
    const tars = writeTars(
      folder,
      image.layers.map(({ tar }) => tar),
    );
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
  const links = new Map<string, string>();
  return layers.some(({ tar }) => {
    const turned = new Set<string>();
    const members = readMembers(tar).map(({ name, type, linkname }) => {
      const path = name.replace(/^[./]+|\/$/g, '');
      return { path, type, linkname };
    });
    const found = members.some(({ path, type }) => {
      const folder = posix.dirname(path);
      const place = posix.join(followed(folder, links, turned), posix.basename(path));
      if (type === 'directory' && links.has(place)) turned.add(place);
      if (!posix.basename(path).startsWith('.wh.')) return false;
      return [...turned].some((one) => `${followed(folder, links, turned)}/`.startsWith(`${one}/`));
    });
    for (const { path, type, linkname } of members) {
      const place = posix.join(followed(posix.dirname(path), links, new Set()), posix.basename(path));
      if (type === 'symlink') links.set(place, linkname);
      else links.delete(place);
    }
    return found;
  });
}

/** Where a folder lies: links of lower layers followed, but for those that a directory has replaced. */
function followed(folder: string, links: ReadonlyMap<string, string>, turned: ReadonlySet<string>): string {
  let path = folder;
  for (let hops = 0; hops < 40; hops += 1) {
    const parts = path.split('/');
    const at = parts.findIndex((_, index) => {
      const prefix = parts.slice(0, index + 1).join('/');
      return links.has(prefix) && !turned.has(prefix);
    });
    if (at < 0) return path;
    const link = parts.slice(0, at + 1).join('/');
    const target = posix.join('/', posix.dirname(link), links.get(link) as string);
    const whole = (links.get(link) as string).startsWith('/') ? posix.join('/', links.get(link) as string) : target;
    path = posix.join(whole, ...parts.slice(at + 1)).slice(1);
  }
  return path;
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
