/** What the benchmark works with: inputs, peers, a registry, fresh folders on tmpfs or on disk. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The command under test. */
export const ROOTFS: readonly string[] = [process.execPath, join(repository, 'bin', 'rootfs.js')];

/** The benchmark's working place. */
export interface Place {
  /** Folder with the peers' commands of today: skopeo, umoci, crane. */
  readonly peers: string;
  /** Folder with the input layouts; see `make-input`. */
  readonly input: string;
  /** A path that does not exist yet, on tmpfs. */
  fresh(): string;
  /** The same, made. */
  freshFolder(): string;
  /** Removes everything that `fresh` gave. */
  clear(): void;
  /** On a disk: waits until all that was written or removed before is done with, so that no run pays for another. */
  settle(): void;
  /** Whether fresh places lie on a disk. */
  readonly isDisk: boolean;
  /** The same inputs and peers with fresh places on a disk: under ROOTFS_BENCH_DISK, or the temporary folder. */
  onDisk(): Place;
}

const TMPFS = 0x01021994;

/** What a peer calls itself, as in `umoci 0.6.0`. */
export function versionOf(peer: string): string {
  const [first = ''] = execFileSync(peer, ['--version'], { encoding: 'utf8' }).split('\n');
  return first.replace(' version', '');
}

/** Opens the working place; peers and inputs are made when they are missing. */
export function openPlace(names: readonly string[]): Place {
  const base = process.env['ROOTFS_BENCH_DIR'] ?? '/dev/shm/rootfs-kit-bench';
  mkdirSync(base, { recursive: true });
  if (statfsSync(base).type !== TMPFS) console.log(`note: ${base} is no tmpfs; the disk is measured too`);
  const peers = join(base, 'peers');
  const input = join(base, 'input');
  execFileSync(join(repository, 'test/bench/peers'), [peers], { stdio: 'inherit' });
  if (names.length > 0)
    execFileSync(join(repository, 'test/bench/make-input'), [input, ...names], { stdio: 'inherit' });
  return placeIn(base, { peers: join(peers, 'bin'), input });
}

function placeIn(base: string, known: Pick<Place, 'peers' | 'input'>): Place {
  const runs = mkdtempSync(join(base, 'rootfs-kit-runs-'));
  const isDisk = statfsSync(base).type !== TMPFS;
  let count = 0;
  const fresh = (): string => {
    count += 1;
    return join(runs, String(count));
  };
  return {
    ...known,
    fresh,
    freshFolder: () => {
      const path = fresh();
      mkdirSync(path);
      return path;
    },
    clear: () => rmSync(runs, { recursive: true, force: true }),
    settle: () => {
      if (isDisk) execFileSync('sync', ['-f', runs]);
    },
    isDisk,
    onDisk: () => placeIn(process.env['ROOTFS_BENCH_DISK'] ?? tmpdir(), known),
  };
}
