/** `rootfs unpack` against umoci and GNU tar, `flatten` against `cat`, and the cost of an entry in small and large trees. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { image, writeLayout } from '../../../src/testing/testing.js';
import type { Case, Row } from '../bench.js';
import { alternate, type Contestant, type Run, runCommand, runOnce, type Sample } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

/** Runs a command whose output is new each round; `prepare` is not measured. */
function fresh(place: Place, name: string, command: (out: string) => readonly string[], folder = false): Contestant {
  return {
    name,
    run: async (): Promise<Run> => {
      const out = folder ? place.freshFolder() : place.fresh();
      try {
        return await runOnce(command(out));
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
  };
}

async function pair(ours: Contestant, peer: Contestant, rounds: number): Promise<readonly [Sample, Sample]> {
  await ours.run(0);
  await peer.run(0);
  const [a, b] = await alternate([ours, peer], rounds);
  if (a === undefined || b === undefined) throw new Error('nothing was measured');
  return [a, b];
}

async function unpackCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const layout = join(place.input, 'uneven');
  const store = place.freshFolder();
  const source = `oci:${layout}:bench`;
  const rows: Row[] = [];

  const umoci = join(place.peers, 'umoci');
  const [whole, theirs] = await pair(
    fresh(place, 'rootfs', (out) => [...ROOTFS, 'unpack', '-q', '--store', place.fresh(), '--dst', out, source]),
    fresh(place, 'umoci', (out) => [umoci, 'raw', 'unpack', '--image', `${layout}:bench`, out]),
    rounds,
  );
  rows.push({
    what: 'unpack a layout, 1 GiB, layers extracted on the way',
    ours: whole,
    peer: theirs,
    peerName: 'umoci 0.6',
  });

  await runOnce([...ROOTFS, 'extract', '-q', '--dst', store, source]);
  const tar = place.fresh();
  await runOnce([...ROOTFS, 'flatten', '-q', '--store', store, '-o', tar, source]);
  const [written, gnu] = await pair(
    fresh(place, 'rootfs', (out) => [...ROOTFS, 'unpack', '-q', '--store', store, '--dst', out, source]),
    fresh(
      place,
      'tar',
      (out) => ['tar', '-x', '--xattrs', '--xattrs-include=*', '--numeric-owner', '-p', '-f', tar, '-C', out],
      true,
    ),
    rounds,
  );
  rows.push({
    what: 'unpack extracted layers, start-up and merge included',
    ours: written,
    peer: gnu,
    peerName: 'GNU tar -x of the flattened tar',
  });

  const [flat, cat] = await pair(
    fresh(place, 'rootfs', (out) => [...ROOTFS, 'flatten', '-q', '--store', store, '-o', out, source]),
    fresh(place, 'cat', (out) => ['sh', '-c', `cat ${store}/sha256/* > ${out}`]),
    rounds,
  );
  rows.push({
    what: 'flatten extracted layers',
    ours: flat,
    peer: cat,
    peerName: 'cat of the layer tars',
    note: `${Math.round(statSync(tar).size / 1e6)} MB`,
  });
  rmSync(tar);
  return rows;
}

async function layoutOf(place: Place, files: number): Promise<string> {
  const layout = place.fresh();
  const built = image()
    .layer((layer) => {
      for (let at = 0; at < files; at += 1) layer.file(`d${at % 500}/s${(at >> 9) % 50}/file-${at}`, `content ${at}\n`);
    })
    .build();
  await writeLayout(layout, { bench: built });
  return layout;
}

async function entryCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const samples: Sample[] = [];
  const counts = [10_000, 200_000];
  for (const files of counts) {
    const layout = await layoutOf(place, files);
    const store = place.freshFolder();
    await runCommand([...ROOTFS, 'extract', '-q', '--dst', store, `oci:${layout}:bench`]);
    const [sample] = await alternate(
      [
        fresh(place, 'rootfs', (out) => [
          ...ROOTFS,
          'unpack',
          '-q',
          '--store',
          store,
          '--dst',
          out,
          `oci:${layout}:bench`,
        ]),
      ],
      rounds,
    );
    if (sample !== undefined) samples.push(sample);
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
      note: `${cost(large, 1).toFixed(0)} µs an entry against ${cost(small, 0).toFixed(0)} µs`,
    },
  ];
}

/** The cases. */
export const unpackCases: readonly Case[] = [
  { name: 'unpack', inputs: ['uneven'], run: unpackCase },
  { name: 'entries', inputs: [], run: entryCase },
];
