/** A command in a sandbox from an image reference: through `rootfs mount`, and through `rootfs unpack`. Needs root. */
import { cpSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxLayers } from '../../support/busybox.js';
import type { Case, Row } from '../bench.js';
import { alternate, type Contestant, type Run, runCommand, runOnce } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

/** The image of the other cases and one layer more, so that there is a shell in it. Its blobs are links. */
async function runnableImage(place: Place): Promise<string> {
  const layout = place.freshFolder();
  const input = join(place.input, 'uneven');
  for (const name of ['index.json', 'oci-layout']) cpSync(join(input, name), join(layout, name));
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  for (const name of readdirSync(join(input, 'blobs/sha256'))) {
    linkSync(join(input, 'blobs/sha256', name), join(layout, 'blobs/sha256', name));
  }
  const layer = place.fresh();
  writeFileSync(layer, busyboxLayers()[0].tar());
  await runCommand([join(place.peers, 'umoci'), 'raw', 'add-layer', '--image', `${layout}:bench`, layer]);
  return `oci:${layout}:bench`;
}

/** Layers lie on a disk, where the kernel mounts plain files; the other way writes its directory to memory, its best. */
async function sandboxCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const disk = mkdtempSync(join(tmpdir(), 'rootfs-kit-bench-'));
  const source = await runnableImage(place);
  const root = join(disk, 'root');
  const bwrap = (dir: string): string => `bwrap --unshare-all --ro-bind ${dir} / --proc /proc --dev /dev /bin/sh -c :`;
  const mounted = (store: string, before: () => void, after: () => void): Contestant => ({
    name: 'mount',
    run: async (): Promise<Run> => {
      before();
      const line = `${ROOTFS.join(' ')} mount -q --store ${store} ${source} ${root} && ${bwrap(root)}`;
      try {
        return await runOnce(['sh', '-c', line]);
      } finally {
        await runCommand([...ROOTFS, 'umount', '-q', root]);
        after();
      }
    },
  });
  const unpacked = (store: string, after: () => void): Contestant => ({
    name: 'unpack',
    run: async (): Promise<Run> => {
      const dir = place.fresh();
      const line = `${ROOTFS.join(' ')} unpack -q --store ${store} --dst ${dir} ${source} && ${bwrap(dir)}`;
      try {
        return await runOnce(['sh', '-c', line]);
      } finally {
        rmSync(dir, { recursive: true });
        after();
      }
    },
  });
  const nothing = (): void => {};
  const remove = (path: string) => (): void => rmSync(path, { recursive: true, force: true });
  const store = join(disk, 'store');
  const fresh = join(disk, 'fresh');
  const metadata = remove(join(store, 'erofs'));
  const cases: readonly (readonly [string, Contestant, Contestant])[] = [
    ['sandbox, nothing there', mounted(fresh, nothing, remove(fresh)), unpacked(fresh, remove(fresh))],
    ['sandbox, layers there', mounted(store, metadata, nothing), unpacked(store, nothing)],
    ['sandbox, layers and metadata there', mounted(store, nothing, nothing), unpacked(store, nothing)],
  ];
  try {
    await mounted(store, nothing, nothing).run();
    const rows: Row[] = [];
    for (const [what, ...contestants] of cases) {
      const [ours, peer] = await alternate(contestants, rounds);
      rows.push({ what, ours, peer, peerName: 'rootfs unpack, then bwrap' });
    }
    return rows;
  } finally {
    rmSync(disk, { recursive: true, force: true });
  }
}

/** The case. */
export const sandboxCases: readonly Case[] = [
  { name: 'sandbox', inputs: ['uneven'], needsRoot: true, run: sandboxCase },
];
