/**
 * `rootfs copy` between a registry and a layout against skopeo, and `rootfs pull -o` against hashing and writing the
 * same bytes.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startDockerRegistry } from '../../support/docker-registry.js';
import type { Case, Row } from '../bench.js';
import { alternate, type Contestant, runOnce } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

const HASH_AND_WRITE = fileURLToPath(new URL('../hash-and-write.js', import.meta.url));

/** A contestant whose output is new each round and removed after it. */
function into(place: Place, name: string, suffix: string, command: (out: string) => readonly string[]): Contestant {
  return {
    name,
    run: async () => {
      const out = `${place.fresh()}${suffix}`;
      try {
        return await runOnce(command(out));
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    },
  };
}

async function contest(
  what: string,
  contestants: readonly Contestant[],
  peerName: string,
  rounds: number,
): Promise<Row> {
  for (const one of contestants) await one.run(0);
  const [ours, peer] = await alternate(contestants, rounds);
  if (ours === undefined || peer === undefined) throw new Error('nothing was measured');
  return { what, ours, peer, peerName };
}

async function copyCase(place: Place, rounds: number, input: string, of: string): Promise<readonly Row[]> {
  const registry = await startDockerRegistry(place.freshFolder());
  const skopeo = join(place.peers, 'skopeo');
  const layout = `oci:${join(place.input, input)}:bench`;
  const image = `${registry.host}/bench/${input}:1`;
  try {
    execFileSync(skopeo, ['copy', '-q', '--dest-tls-verify=false', layout, `docker://${image}`]);
    const version = execFileSync(skopeo, ['--version'], { encoding: 'utf8' }).trim().replace(' version', '');
    const down = await contest(
      `copy, registry to layout, ${of}`,
      [
        into(place, 'rootfs', '', (out) => [...ROOTFS, 'copy', '-q', image, `oci:${out}:1`]),
        into(place, 'skopeo', '', (out) => [
          skopeo,
          'copy',
          '-q',
          '--src-tls-verify=false',
          `docker://${image}`,
          `oci:${out}:1`,
        ]),
      ],
      version,
      rounds,
    );
    return [
      down,
      await contest(`copy, layout to registry, ${of}`, uploads(place, skopeo, layout), version, rounds),
      await contest(
        `pull -o, from a layout, ${of}`,
        [
          into(place, 'rootfs', '.tar', (out) => [...ROOTFS, 'pull', '-q', layout, '-o', out]),
          into(place, 'node', '.out', (out) => [process.execPath, HASH_AND_WRITE, join(place.input, input), out]),
        ],
        'hashing and writing the same bytes in Node',
        rounds,
      ),
    ];
  } finally {
    await registry.stop();
  }
}

/** Each upload goes to an empty registry of its own: blobs that are there would not be sent. */
function uploads(place: Place, skopeo: string, layout: string): readonly Contestant[] {
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
