/** `rootfs mount` of an extracted image against umoci's unpack, reading every file through it, and what a path costs. Needs root. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { alternate, type Contestant, contest, type Run, runOnce } from '../measure.js';
import { type Place, ROOTFS, versionOf } from '../place.js';
import { layoutOf } from './unpack.js';

/** Layers lie on a disk, where the kernel mounts plain files; umoci unpacks to memory, which is its best. */
async function mountCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const disk = mkdtempSync(join(tmpdir(), 'rootfs-kit-bench-'));
  const layout = join(place.input, 'uneven');
  const store = join(disk, 'store');
  const dir = join(disk, 'mounted');
  const words = ['-q', '--store', store, `oci:${layout}:bench`, dir];
  const mount = (): Promise<Run> => runOnce([...ROOTFS, 'mount', ...words]);
  const umount = (): Promise<Run> => runOnce([...ROOTFS, 'umount', '-q', dir]);
  const umoci = join(place.peers, 'umoci');
  const mounted = (name: string, before: () => void): Contestant => ({
    name,
    run: async () => {
      before();
      const run = await mount();
      await umount();
      return run;
    },
  });
  const unpacked = fresh(
    place,
    'umoci',
    command((out) => [umoci, 'unpack', '--image', `${layout}:bench`, out]),
  );
  try {
    await mount();
    await umount();
    const anew = mounted('rootfs', () => rmSync(join(store, 'erofs'), { recursive: true }));
    const again = mounted('rootfs again', () => {});
    const [first, second, peer] = await alternate([anew, again, unpacked], rounds);
    const peerName = versionOf(umoci);
    const rows: Row[] = [
      {
        what: 'mount, 10 layers of 1 GiB, extracted',
        ours: first,
        peer,
        peerName,
        note: 'metadata made',
      },
      { what: 'mount, again', ours: second, peer, peerName, note: 'metadata there' },
    ];
    rows.push(...(await readRows(disk, layout, mount, umount, dir, rounds)));
    return rows;
  } finally {
    rmSync(disk, { recursive: true, force: true });
  }
}

/** Every file once, through the mount and from a directory on the same disk, with caches and without. */
async function readRows(
  disk: string,
  layout: string,
  mount: () => Promise<Run>,
  umount: () => Promise<Run>,
  dir: string,
  rounds: number,
): Promise<Row[]> {
  const plain = join(disk, 'unpacked');
  await runOnce([...ROOTFS, 'unpack', '-q', '--store', join(disk, 'store'), '--dst', plain, `oci:${layout}:bench`]);
  await mount();
  try {
    const rows: Row[] = [];
    const read = (name: string, folder: string, cold: boolean): Contestant => ({
      name,
      run: async () => {
        if (cold) {
          execFileSync('sync');
          writeFileSync('/proc/sys/vm/drop_caches', '3');
        }
        return runOnce(['sh', '-c', `find '${folder}' -xdev -type f -exec cat {} + >/dev/null`]);
      },
    });
    for (const cold of [true, false]) {
      const pair = [read('mounted', dir, cold), read('unpacked', plain, cold)] as const;
      const [ours, peer] = cold ? await alternate(pair, rounds) : await contest(...pair, rounds);
      rows.push({ what: `read all files, ${cold ? 'cold' : 'warm'}`, ours, peer, peerName: 'unpacked' });
    }
    return rows;
  } finally {
    await umount();
  }
}

/** What a path costs in small and large trees: metadata made, start-up included. */
async function pathCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const disk = mkdtempSync(join(tmpdir(), 'rootfs-kit-bench-'));
  const dir = join(disk, 'mounted');
  const contestant = async (files: number): Promise<Contestant> => {
    const source = `oci:${await layoutOf(place, files)}:bench`;
    const store = join(disk, `store-${files}`);
    await runOnce([...ROOTFS, 'extract', '-q', '--dst', store, source]);
    return {
      name: `${files}`,
      run: async () => {
        rmSync(join(store, 'erofs'), { recursive: true, force: true });
        const run = await runOnce([...ROOTFS, 'mount', '-q', '--store', store, source, dir]);
        await runOnce([...ROOTFS, 'umount', '-q', dir]);
        return run;
      },
    };
  };
  try {
    const counts = [10_000, 200_000] as const;
    const contestants = [await contestant(counts[0]), await contestant(counts[1])] as const;
    const [small, large] = await alternate(contestants, rounds);
    const cost = (sample: Run, files: number): string => ((sample.wall / files) * 1e6).toFixed(1);
    return [
      {
        what: 'mount 200,000 paths, extracted',
        ours: large,
        peer: small,
        peerName: 'rootfs, 10,000 paths',
        note: `${cost(large, counts[1])} µs a path against ${cost(small, counts[0])} µs`,
      },
    ];
  } finally {
    rmSync(disk, { recursive: true, force: true });
  }
}

/** The cases. */
export const mountCases: readonly Case[] = [
  { name: 'mount', inputs: ['uneven'], needsRoot: true, run: mountCase },
  { name: 'mount-paths', inputs: [], needsRoot: true, run: pathCase },
];
