/** A writable copy for one run, of a root file system that many runs share, against copying its directory. Needs root. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Row } from '../bench.js';
import { command, fresh } from '../fresh.js';
import { alternate, type Run, runCommand } from '../measure.js';
import { type Place, ROOTFS } from '../place.js';

const WRITABLE_PART = fileURLToPath(new URL('../writable-part.js', import.meta.url));

async function writableCase(place: Place, rounds: number): Promise<readonly Row[]> {
  const source = `oci:${join(place.input, 'uneven')}:bench`;
  const rows: Row[] = [];
  for (const form of ['unpack', 'overlay'] as const) {
    const base = place.fresh();
    await runCommand([...ROOTFS, form, '-q', '--no-store', '--dst', base, source]);
    // The first copy that a process makes, mounted; those after it take a tenth of that.
    const writable = fresh(place, 'writable copy', async (run) => {
      return JSON.parse(execFileSync(process.execPath, [WRITABLE_PART, base, run], { encoding: 'utf8' })) as Run;
    });
    const copied = fresh(
      place,
      'cp',
      command((out) => ['cp', '-a', base, out]),
    );
    const [ours, peer] = await alternate([writable, copied], rounds);
    rows.push({
      what: `writable copy for one run, of what ${form} made`,
      ours,
      peer,
      peerName: 'cp -a',
    });
    rmSync(base, { recursive: true, force: true });
  }
  return rows;
}

/** The case. */
export const writableCases: readonly Case[] = [
  { name: 'writable', inputs: ['uneven'], needsRoot: true, run: writableCase },
];
