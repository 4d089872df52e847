/**
 * A distant registry: 50 ms to the answer and a cap on each connection. One large layer, fetched in ranges at once
 * against one stream; and the same in peers' hands.
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { image, SeededRandom, startRegistry } from '../../../src/testing/testing.js';
import type { Case, Row } from '../bench.js';
import { alternate, type Contestant, runOnce } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

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
  const into = (name: string, command: (out: string) => readonly string[]): Contestant => ({
    name,
    run: async () => {
      const out = place.fresh();
      try {
        return await runOnce(command(out));
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
  });
  const extract = (ranges: number) => (out: string) => [
    ...ROOTFS,
    ...['extract', '-q', '--parallel-ranges', String(ranges), '--dst', out, `${registry.host}/bench`],
  ];
  const [one, four, eight, skopeo] = await alternate(
    [
      into('one stream', extract(1)),
      into('4 ranges', extract(4)),
      into('8 ranges', extract(8)),
      into('skopeo', (out) => [
        join(place.peers, 'skopeo'),
        ...[
          'copy',
          '-q',
          '--src-tls-verify=false',
          '--dest-decompress',
          `docker://${registry.host}/bench`,
          `dir:${out}`,
        ],
      ]),
    ],
    rounds,
  );
  if (one === undefined || four === undefined || eight === undefined || skopeo === undefined) {
    throw new Error('nothing was measured');
  }
  const what = `extract, one layer of 48 MiB, ${LATENCY_MS} ms away, ${BYTES_PER_SECOND / 1e6} MB/s a connection`;
  return [
    { what: `${what}, 4 ranges`, ours: four, peer: one, peerName: 'one stream' },
    { what: `${what}, 8 ranges`, ours: eight, peer: one, peerName: 'one stream' },
    { what: `${what}, 4 ranges`, ours: four, peer: skopeo, peerName: 'skopeo' },
  ];
}

/** The case. */
export const rangesCases: readonly Case[] = [{ name: 'ranges', inputs: [], run: rangesCase }];
