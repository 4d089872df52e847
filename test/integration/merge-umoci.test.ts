/**
 * The merge engine against umoci: random images unpacked by `umoci raw unpack` as root, compared path by path.
 *
 * Most images leave out what umoci 0.4.7 cannot do, so that nearly everything must agree; every seventh holds it, and
 * its differences are counted by rule. ROOTFS_IMAGES sets how many images.
 */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { DifferenceLedger } from '../support/difference-ledger.js';
import { type Difference, differences, type FlatTree } from '../support/flat-tree.js';
import { writeTars } from '../support/layers.js';
import { engineOutcome, writeImage } from '../support/random-image.js';
import { type RandomLayer, randomLayers } from '../support/random-layers.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const images = Number(process.env['ROOTFS_IMAGES'] ?? 2_000);
const skip = process.getuid?.() === 0 ? needs('umoci', 'python3') : 'needs root: owners and devices are compared';
const started = BigInt(Date.now()) * 1_000_000n - 1_000_000_000n;

interface Unpacked {
  readonly seed: number;
  readonly layers: readonly RandomLayer[];
  readonly ours: FlatTree;
  readonly folder: string;
}

test(`${images} random images: the engine and umoci agree`, { skip }, async (t) => {
  const folder = tempDir(t, 'umoci');
  const ledger = new DifferenceLedger('umoci');
  let agreed = 0;
  for (let from = 1; from <= images; from += 50) {
    const seeds = Array.from({ length: Math.min(50, images - from + 1) }, (_, index) => from + index);
    const lanes = [0, 1].map(async (lane) => {
      const done: Unpacked[] = [];
      for (const seed of seeds.filter((one) => one % 2 === lane)) {
        const unpacked = await unpackBoth(seed, join(folder, String(seed)), ledger);
        if (unpacked !== undefined) done.push(unpacked);
      }
      return done;
    });
    const unpacked = (await Promise.all(lanes)).flat();
    const trees = realTrees(unpacked.map((one) => one.folder));
    for (const [index, one] of unpacked.entries()) {
      const found = differences(one.ours, trees[index] as FlatTree);
      const ids = found.map((difference) => classify(difference, one));
      for (const [at, id] of ids.entries()) ledger.note(id, `seed ${one.seed}: ${JSON.stringify(found[at])}`);
      if (ids.every((id) => id === 'made-directories')) agreed += 1;
    }
    for (const seed of seeds) rmSync(join(folder, String(seed)), { recursive: true, force: true });
  }
  t.diagnostic(`${agreed} of ${images} agree, times of directories without an entry aside; ${ledger.summary()}`);
  ledger.check(images);
});

async function unpackBoth(seed: number, folder: string, ledger: DifferenceLedger): Promise<Unpacked | undefined> {
  const layers = randomLayers(seed, seed % 7 !== 0);
  const ours = await engineOutcome(
    writeTars(
      join(folder, 'tars'),
      layers.map(({ tar }) => tar),
    ),
  );
  await writeImage(join(folder, 'layout'), layers);
  const dest = join(folder, 'rootfs');
  let complaint: string | undefined;
  try {
    await promisify(execFile)('umoci', ['raw', 'unpack', '--image', join(folder, 'layout'), dest]);
  } catch (error) {
    complaint = String((error as { stderr?: string }).stderr ?? error);
  }
  if (complaint === undefined) {
    if ('tree' in ours) return { seed, layers, ours: ours.tree, folder: dest };
    ledger.note(
      whiteoutBehindEntry(layers) ? 'whiteout-order' : undefined,
      `seed ${seed}: only the engine refuses: ${ours.refusal}`,
    );
  } else if ('tree' in ours) {
    let id: string | undefined;
    if (/mkdir parent: .*not a directory|whiteout.*not a directory/.test(complaint)) id = 'in-the-way';
    else if (/: link: .*(no such file or directory|not a directory|file exists)/.test(complaint)) id = 'link-order';
    else if (/entry: .*\.wh\..*too many levels of symbolic links/.test(complaint)) id = 'whiteout-order';
    ledger.note(id, `seed ${seed}: only umoci refuses: ${complaint}`);
  }
  return undefined;
}

function classify({ field, theirs, path }: Difference, image: Unpacked): string | undefined {
  const facts = image.ours.get(path);
  if (field === 'mtime' && facts?.type === 'directory' && BigInt(theirs) >= started) return 'made-directories';
  const made = facts?.type === 'directory' && facts.mtime === '0' && facts.mode === 0o755 && facts.owner === '0:0';
  if (made && field === 'mode' && Number(theirs) === 0o2755) return 'made-directories';
  if (made && field === 'owner' && theirs.startsWith('0:')) return 'made-directories';
  if (field === 'xattrs' && theirs === '[]' && image.seed % 7 === 0) return 'libarchive-xattrs';
  return whiteoutBehindEntry(image.layers) || whiteoutBelowWhiteout(image.layers) ? 'whiteout-order' : undefined;
}

function whiteoutBehindEntry(layers: readonly RandomLayer[]): boolean {
  return layers.slice(1).some(({ entries }) => {
    const whiteout = entries.findLastIndex(({ kind }) => kind === 'whiteout' || kind === 'opaque');
    return entries.findIndex(({ kind }) => kind !== 'whiteout' && kind !== 'opaque') < whiteout;
  });
}

/** Whether a whiteout leads through what one before it in its layer has hidden. */
function whiteoutBelowWhiteout(layers: readonly RandomLayer[]): boolean {
  return layers.slice(1).some(({ entries }) =>
    entries.some(({ kind, at }, index) => {
      if (kind !== 'whiteout') return false;
      const hidden = `${at.join('/')}/`;
      return entries.slice(index + 1).some((later) => {
        if (later.kind !== 'whiteout' && later.kind !== 'opaque') return false;
        const folder = later.kind === 'opaque' ? later.at : later.at.slice(0, -1);
        return `${folder.join('/')}/`.startsWith(hidden);
      });
    }),
  );
}
