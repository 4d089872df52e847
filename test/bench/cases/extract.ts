/** `rootfs extract` from a local registry against `skopeo copy --dest-decompress`, and a second run against bare Node. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { startDockerRegistry } from '../../support/docker-registry.js';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { limitOf } from '../limit.js';
import { alternate, contest, runCommand, runOnce } from '../measure.js';
import { type Place, ROOTFS, versionOf } from '../place.js';

const WHAT: Readonly<Record<string, string>> = {
  uneven: 'extract, 10 uneven layers, 1 GiB',
  single: 'extract, one layer of 1.3 GiB',
  small: 'extract, 81 small layers',
};

async function extractCase(place: Place, rounds: number, input: string): Promise<readonly Row[]> {
  const registry = await startDockerRegistry(place.freshFolder());
  const skopeo = join(place.peers, 'skopeo');
  const layout = join(place.input, input);
  try {
    const image = `${registry.host}/bench/${input}:1`;
    await runCommand([skopeo, 'copy', '-q', '--dest-tls-verify=false', `oci:${layout}:bench`, `docker://${image}`]);
    const copied = ['copy', '-q', '--src-tls-verify=false', '--dest-decompress', `docker://${image}`];
    const [ours, peer] = await contest(
      fresh(
        place,
        'rootfs',
        command((out) => [...ROOTFS, 'extract', '-q', '--dst', out, image]),
      ),
      fresh(
        place,
        'skopeo',
        command((out) => [skopeo, ...copied, `dir:${out}`]),
      ),
      rounds,
    );
    const limit = await limitOf(layout, place.fresh());
    const share = `${Math.round((limit / ours.wall) * 100)} % of the limit (${limit.toFixed(2)} s)`;
    const rows: Row[] = [{ what: WHAT[input] ?? input, ours, peer, peerName: versionOf(skopeo), note: share }];
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
    const words = [...ROOTFS, 'extract', '-q', '--dst', out, image];
    await runOnce(words);
    const [ours, peer] = await alternate(
      [
        { name: 'rootfs', run: () => runOnce(words) },
        { name: 'node', run: () => runOnce([process.execPath, '-e', '0']) },
      ],
      rounds,
    );
    rmSync(out, { recursive: true, force: true });
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
