/**
 * `rootfs copy` between a registry and a layout against skopeo, and `rootfs pull -o` against hashing and writing the
 * same bytes.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startDockerRegistry } from '../../support/docker-registry.js';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { type Contestant, contest, runCommand, runOnce } from '../measure.js';
import { type Place, ROOTFS, versionOf } from '../place.js';

const HASH_AND_WRITE = fileURLToPath(new URL('../hash-and-write.js', import.meta.url));

async function copyCase(place: Place, rounds: number, input: string, of: string): Promise<readonly Row[]> {
  const registry = await startDockerRegistry(place.freshFolder());
  const skopeo = join(place.peers, 'skopeo');
  const layout = `oci:${join(place.input, input)}:bench`;
  const image = `${registry.host}/bench/${input}:1`;
  const down = ['copy', '-q', '--src-tls-verify=false', `docker://${image}`];
  try {
    await runCommand([skopeo, 'copy', '-q', '--dest-tls-verify=false', layout, `docker://${image}`]);
    const row = async (what: string, ours: Contestant, peer: Contestant, peerName: string): Promise<Row> => {
      const [one, other] = await contest(ours, peer, rounds);
      return { what: `${what}, ${of}`, ours: one, peer: other, peerName };
    };
    return [
      await row(
        'copy, registry to layout',
        fresh(
          place,
          'rootfs',
          command((out) => [...ROOTFS, 'copy', '-q', image, `oci:${out}:1`]),
        ),
        fresh(
          place,
          'skopeo',
          command((out) => [skopeo, ...down, `oci:${out}:1`]),
        ),
        versionOf(skopeo),
      ),
      await row('copy, layout to registry', ...uploads(place, skopeo, layout), versionOf(skopeo)),
      await row(
        'pull -o, from a layout',
        fresh(
          place,
          'rootfs',
          command((out) => [...ROOTFS, 'pull', '-q', layout, '-o', out]),
          { suffix: '.tar' },
        ),
        fresh(
          place,
          'node',
          command((out) => [process.execPath, HASH_AND_WRITE, join(place.input, input), out]),
        ),
        'hashing and writing the same bytes in Node',
      ),
    ];
  } finally {
    await registry.stop();
  }
}

/** Each upload goes to an empty registry of its own: blobs that are there would not be sent. */
function uploads(place: Place, skopeo: string, layout: string): readonly [Contestant, Contestant] {
  const up = (name: string, command: (image: string) => readonly string[]): Contestant => ({
    name,
    run: async () => {
      const folder = place.freshFolder();
      const registry = await startDockerRegistry(folder);
      try {
        return await runOnce(command(`${registry.host}/bench:1`));
      } finally {
        await registry.stop();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  });
  return [
    up('rootfs', (image) => [...ROOTFS, 'copy', '-q', layout, image]),
    up('skopeo', (image) => [skopeo, 'copy', '-q', '--dest-tls-verify=false', layout, `docker://${image}`]),
  ];
}

/** The inputs of `extract`. */
export const copyCases: readonly Case[] = [
  { name: 'copy', inputs: ['uneven'], run: (place, rounds) => copyCase(place, rounds, 'uneven', '10 uneven layers') },
  { name: 'copy-single', inputs: ['single'], run: (place, rounds) => copyCase(place, rounds, 'single', 'one layer') },
  {
    name: 'copy-small',
    inputs: ['small'],
    run: (place, rounds) => copyCase(place, rounds, 'small', '81 small layers'),
  },
];
