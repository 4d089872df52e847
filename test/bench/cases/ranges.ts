/**
 * A distant registry: 50 ms to the answer and a cap on each connection. One large layer, fetched in ranges at once
 * against one stream; and the same in peers' hands.
 */

import { join } from 'node:path';
import { image, SeededRandom, startRegistry } from '../../../src/testing/testing.js';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { alternate } from '../measure.js';
import { type Place, ROOTFS, versionOf } from '../place.js';

const LAYER_BYTES = 48 * 1024 ** 2;
const LATENCY_MS = 50;
const BYTES_PER_SECOND = 12_000_000;

async function rangesCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const content = Buffer.alloc(LAYER_BYTES, new SeededRandom(1).bytes(65_536));
  const built = image()
    .layer((layer) => layer.file('large', content), { compression: 'none' })
    .build();
  await using registry = await startRegistry({
    faults: [
      { on: 'any', do: 'latency', ms: LATENCY_MS },
      { on: 'blob', do: 'slow', bytesPerSecond: BYTES_PER_SECOND },
    ],
  });
  registry.add('bench', 'latest', built);
  const skopeo = join(place.peers, 'skopeo');
  const extract = (ranges: number) =>
    fresh(
      place,
      `${ranges} ranges`,
      command((out) => [
        ...[...ROOTFS, 'extract', '-q', '--parallel-ranges', String(ranges), '--dst', out],
        `${registry.host}/bench`,
      ]),
    );
  const copied = ['copy', '-q', '--src-tls-verify=false', '--dest-decompress', `docker://${registry.host}/bench`];
  const copy = fresh(
    place,
    'skopeo',
    command((out) => [skopeo, ...copied, `dir:${out}`]),
  );
  const [one, four, eight, peer] = await alternate([extract(1), extract(4), extract(8), copy], rounds);
  const what = `extract, one layer of 48 MiB, ${LATENCY_MS} ms away, ${BYTES_PER_SECOND / 1e6} MB/s a connection`;
  return [
    { what: `${what}, 4 ranges`, ours: four, peer: one, peerName: 'one stream' },
    { what: `${what}, 8 ranges`, ours: eight, peer: one, peerName: 'one stream' },
    { what: `${what}, 4 ranges`, ours: four, peer, peerName: versionOf(skopeo) },
  ];
}

/** The case. */
export const rangesCases: readonly Case[] = [{ name: 'ranges', inputs: [], run: rangesCase }];
