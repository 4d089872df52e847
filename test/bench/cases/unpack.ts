/** `rootfs unpack` against umoci and GNU tar, `flatten` against `cat`, and the cost of an entry in small and large trees. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { image, writeLayout } from '../../../src/testing/testing.js';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { alternate, type Contestant, contest, type Run, runCommand, type Sample } from '../measure.js';
import { type Place, ROOTFS, versionOf } from '../place.js';

const WRITE_PART = fileURLToPath(new URL('../write-part.js', import.meta.url));

async function unpackCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const layout = join(place.input, 'uneven');
  const store = place.freshFolder();
  const source = `oci:${layout}:bench`;
  const where = place.isDisk ? ', on disk' : '';
  const rows: Row[] = [];
  const row = async (what: string, peerName: string, ours: Contestant, peer: Contestant): Promise<void> => {
    const [one, other] = await contest(ours, peer, rounds);
    rows.push({ what: `${what}${where}`, ours: one, peer: other, peerName });
  };

  const umoci = join(place.peers, 'umoci');
  const whole = (out: string): readonly string[] => ['--store', join(out, 'store'), '--dst', join(out, 'root'), source];
  await row(
    'unpack a layout, 1 GiB, layers extracted on the way',
    `${versionOf(umoci)} raw unpack`,
    fresh(
      place,
      'rootfs',
      command((out) => [...ROOTFS, 'unpack', '-q', ...whole(out)]),
      { folder: true },
    ),
    fresh(
      place,
      'umoci',
      command((out) => [umoci, 'raw', 'unpack', '--image', `${layout}:bench`, join(out, 'root')]),
      { folder: true },
    ),
  );

  await runCommand([...ROOTFS, 'extract', '-q', '--dst', store, source]);
  const tar = place.fresh();
  await runCommand([...ROOTFS, 'flatten', '-q', '--store', store, '-o', tar, source]);
  const gnuTar = fresh(
    place,
    'tar',
    command((out) => [
      ...['tar', '-x', '--xattrs', '--xattrs-include=*', '--numeric-owner', '-p', '-f', tar, '-C', out],
    ]),
    { folder: true },
  );
  await row(
    'unpack extracted layers, start-up and merge included',
    'GNU tar -x of the flattened tar',
    fresh(
      place,
      'rootfs',
      command((out) => [...ROOTFS, 'unpack', '-q', '--store', store, '--dst', out, source]),
    ),
    gnuTar,
  );
  await row(
    'the same, the writing part alone',
    'GNU tar -x of the flattened tar',
    fresh(place, 'write part', async (out) => {
      const line = execFileSync(process.execPath, [WRITE_PART, store, source, out], { encoding: 'utf8' });
      return JSON.parse(line) as Run;
    }),
    gnuTar,
  );
  await row(
    `flatten extracted layers, ${Math.round(statSync(tar).size / 1e6)} MB`,
    'cat of the layer tars',
    fresh(
      place,
      'rootfs',
      command((out) => [...ROOTFS, 'flatten', '-q', '--store', store, '-o', out, source]),
    ),
    fresh(
      place,
      'cat',
      command((out) => ['sh', '-c', `cat ${store}/sha256/* > ${out}`]),
    ),
  );
  rmSync(tar);
  return rows;
}

/** The layout of an image with so many small files, eight in each directory, tag `bench`. */
export async function layoutOf(place: Place, files: number): Promise<string> {
  const layout = place.fresh();
  const built = image()
    .layer((layer) => {
      for (let at = 0; at < files; at += 1) layer.file(`d${at >> 9}/s${at >> 3}/file-${at}`, `content ${at}\n`);
    })
    .build();
  await writeLayout(layout, { bench: built });
  return layout;
}

const MERGE_PART = fileURLToPath(new URL('../merge-part.js', import.meta.url));

/** What reading the headers of a store's one layer and merging it take. */
function mergeNote(store: string): string {
  const [name = ''] = readdirSync(join(store, 'sha256'));
  const spent = (what: string): { entries: number; seconds: number; peak: number } =>
    JSON.parse(execFileSync(process.execPath, [MERGE_PART, what, join(store, 'sha256', name)], { encoding: 'utf8' }));
  const read = spent('read');
  const merged = spent('merge');
  return `${Math.round(read.entries / read.seconds)} headers/s; merged in ${merged.seconds.toFixed(2)} s, ${Math.round(merged.peak / 1e6)} MB`;
}

async function entryCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const samples: Sample[] = [];
  const counts = [10_000, 200_000];
  let note = '';
  for (const files of counts) {
    const layout = await layoutOf(place, files);
    const store = place.freshFolder();
    await runCommand([...ROOTFS, 'extract', '-q', '--dst', store, `oci:${layout}:bench`]);
    const [sample] = await alternate(
      [
        fresh(
          place,
          'rootfs',
          command((out) => [...ROOTFS, 'unpack', '-q', '--store', store, '--dst', out, `oci:${layout}:bench`]),
        ),
      ],
      rounds,
    );
    samples.push(sample);
    if (files === 200_000) note = mergeNote(store);
    rmSync(layout, { recursive: true, force: true });
    rmSync(store, { recursive: true, force: true });
  }
  const [small, large] = samples;
  if (small === undefined || large === undefined) throw new Error('nothing was measured');
  const cost = (sample: Sample, at: number): number => (sample.wall / (counts[at] ?? 1)) * 1e6;
  return [
    {
      what: 'unpack 200,000 entries',
      ours: large,
      peer: small,
      peerName: 'rootfs, 10,000 entries',
      note: `${cost(large, 1).toFixed(0)} µs an entry against ${cost(small, 0).toFixed(0)} µs; ${note}`,
    },
  ];
}

/** The cases. */
export const unpackCases: readonly Case[] = [
  { name: 'unpack', inputs: ['uneven'], run: unpackCase },
  {
    name: 'unpack-disk',
    inputs: ['uneven'],
    run: async (place, rounds) => {
      const disk = place.onDisk();
      try {
        return await unpackCase(disk, rounds);
      } finally {
        disk.clear();
      }
    },
  },
  { name: 'entries', inputs: [], run: entryCase },
];
