/** `rootfs extract` from a local registry against `skopeo copy --dest-decompress`, and a second run against bare Node. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { startDockerRegistry } from '../../support/docker-registry.js';
import type { Case, Row } from '../bench.js';
import { limitOf } from '../limit.js';
import { alternate, type Contestant, runCommand, runOnce } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

const WHAT: Readonly<Record<string, string>> = {
  uneven: 'extract, 10 uneven layers, 1 GiB',
  single: 'extract, one layer of 1.3 GiB',
  small: 'extract, 81 small layers',
};

/** A contestant whose output folder is new each round and removed after it. */
function into(place: Place, name: string, command: (out: string) => readonly string[]): Contestant {
  return {
    name,
    run: async () => {
      const out = place.fresh();
      try {
        return await runOnce(command(out));
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
  };
}

async function extractCase(place: Place, rounds: number, input: string): Promise<readonly Row[]> {
  const registry = await startDockerRegistry(place.freshFolder());
  const skopeo = join(place.peers, 'skopeo');
  const layout = join(place.input, input);
  try {
    const image = `${registry.host}/bench/${input}:1`;
    await runCommand([skopeo, 'copy', '-q', '--dest-tls-verify=false', `oci:${layout}:bench`, `docker://${image}`]);
    const contestants = [
      into(place, 'rootfs', (out) => [...ROOTFS, 'extract', '-q', '--dst', out, image]),
      into(place, 'skopeo', (out) => [
        skopeo,
        'copy',
        '-q',
        '--src-tls-verify=false',
        '--dest-decompress',
        `docker://${image}`,
        `dir:${out}`,
      ]),
    ];
    for (const one of contestants) await one.run(0);
    const [ours, peer] = await alternate(contestants, rounds);
    if (ours === undefined || peer === undefined) throw new Error('nothing was measured');
    const limit = await limitOf(layout, place.fresh());
    const share = `${Math.round((limit / ours.wall) * 100)} % of the limit (${limit.toFixed(2)} s)`;
    const version = execFileSync(skopeo, ['--version'], { encoding: 'utf8' }).trim().replace(' version', '');
    const rows: Row[] = [{ what: WHAT[input] ?? input, ours, peer, peerName: version, note: share }];
    if (input === 'uneven') rows.push(...(await secondRun(place, rounds, image, `oci:${layout}:bench`)));
    return rows;
  } finally {
    await registry.stop();
  }
}

async function secondRun(place: Place, rounds: number, registryImage: string, layoutImage: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [what, image] of [
    ['again, from the registry', registryImage],
    ['again, from a layout', layoutImage],
  ] as const) {
    const out = place.fresh();
    const command = [...ROOTFS, 'extract', '-q', '--dst', out, image];
    await runOnce(command);
    const [ours, peer] = await alternate(
      [
        { name: 'rootfs', run: () => runOnce(command) },
        { name: 'node', run: () => runOnce([process.execPath, '-e', '0']) },
      ],
      rounds,
    );
    rmSync(out, { recursive: true, force: true });
    if (ours === undefined || peer === undefined) throw new Error('nothing was measured');
    const over = Math.round((ours.wall - peer.wall) * 1000);
    rows.push({ what, ours, peer, peerName: 'bare node', note: `+${over} ms over bare Node` });
  }
  return rows;
}

/** One case an input. */
export const extractCases: readonly Case[] = Object.keys(WHAT).map((input) => ({
  name: `extract-${input}`,
  inputs: [input],
  run: (place, rounds) => extractCase(place, rounds, input),
}));
