/** Seeded random layers that weight the corners: links in paths, whiteouts below links, type changes, link chains. */
import { tarEntry } from '../../src/testing/testing.js';
import { naiveMerge } from './naive-merge.js';

/** What one entry of a layer says, before it is written in some dialect of tar. Texts are bytes as latin1. */
export interface RandomEntry {
  readonly kind: 'file' | 'dir' | 'symlink' | 'hardlink' | 'fifo' | 'char' | 'block' | 'whiteout' | 'opaque';
  /** Where, as components; of a whiteout: what it hides; of an opaque one: the directory. */
  readonly at: readonly string[];
  /** The name as it is written. */
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly target: string;
  readonly content: string;
  readonly xattrs: Readonly<Record<string, string>>;
}

/** A random layer: what it says, and its tar. */
export interface RandomLayer {
  readonly entries: readonly RandomEntry[];
  readonly tar: Buffer;
}

/** Numbers from a seed: the same ones everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
}

const NAMES = ['a', 'b', 'c', 'lib', 'usr', 'd.d', 'e\xff', '.h'];
const KINDS: readonly RandomEntry['kind'][] = [
  ...Array.from({ length: 9 }, () => 'file' as const),
  ...Array.from({ length: 8 }, () => 'dir' as const),
  ...Array.from({ length: 5 }, () => 'symlink' as const),
  ...Array.from({ length: 4 }, () => 'hardlink' as const),
  ...Array.from({ length: 4 }, () => 'whiteout' as const),
  'opaque',
  'fifo',
  'char',
  'block',
];
const TYPES = { file: '0', dir: '5', symlink: '2', hardlink: '1', fifo: '6', char: '3', block: '4' };

/**
 * The layers of one random image, base first.
 *
 * @param tame Leaves out what umoci 0.4.7 refuses or does not read, and puts whiteouts first in their layers.
 */
export function randomLayers(seed: number, tame = false): RandomLayer[] {
  const random = new Random(seed);
  /** Names of files so far: hard links mostly lead to one of them. */
  const files: string[] = [];
  const count = 1 + random.below(4);
  const layers: RandomEntry[][] = [];
  while (layers.length < count) layers.push(randomLayer(random, files, layers, tame));
  return layers.map((entries) => ({ entries, tar: encodeLayer(entries, random, tame) }));
}

/** The tar of a layer, each entry in a dialect drawn at random. */
export function encodeLayer(entries: readonly RandomEntry[], random: Random, tame: boolean): Buffer {
  return Buffer.concat([...entries.map((entry) => encoded(entry, random, tame)), Buffer.alloc(1024)]);
}

/** A layer that can be applied to those below it; now and then one that cannot. */
function randomLayer(random: Random, files: string[], below: readonly RandomEntry[][], tame: boolean): RandomEntry[] {
  for (let attempt = 0; ; attempt += 1) {
    const names = [...files];
    const entries = Array.from({ length: 2 + random.below(12) }, () => randomEntry(random, names));
    if (tame) entries.sort((a, b) => Number(isWhiteout(b)) - Number(isWhiteout(a)));
    const patient = attempt < (tame ? 200 : 12);
    if (patient && (tame || !random.chance(2)) && isRefused([...below, entries], tame)) continue;
    files.splice(0, files.length, ...names);
    return entries;
  }
}

function isWhiteout({ kind }: RandomEntry): boolean {
  return kind === 'whiteout' || kind === 'opaque';
}

function isRefused(layers: readonly RandomEntry[][], tame: boolean): boolean {
  try {
    naiveMerge(layers, tame);
    return false;
  } catch {
    return true;
  }
}

function randomPath(random: Random): string[] {
  return Array.from({ length: random.pick([1, 1, 1, 2, 2, 2, 3, 4]) }, () => random.pick(NAMES));
}

function randomTarget(random: Random): string {
  const up = '../'.repeat(random.pick([0, 0, 0, 1, 2, 4]));
  return (random.chance(25) ? '/' : '') + up + (random.chance(5) ? '' : randomPath(random).join('/')) || '.';
}

function randomEntry(random: Random, files: string[]): RandomEntry {
  const kind = random.pick(KINDS);
  const at = kind === 'opaque' && random.chance(10) ? [] : kind === 'dir' && random.chance(4) ? [] : randomPath(random);
  const path = at.join('/');
  const last = at.at(-1) ?? '';
  const folder = at
    .slice(0, -1)
    .map((part) => `${part}/`)
    .join('');
  let name = path;
  if (kind === 'whiteout') name = `${folder}.wh.${last}`;
  if (kind === 'opaque') name = at.length === 0 ? '.wh..wh..opq' : `${path}/.wh..wh..opq`;
  name = `${random.pick(['', '', '', './', '/'])}${name}`;
  if (kind === 'dir' && (random.chance(70) || name === '')) name = `${name === '' ? '.' : name}/`;
  if (random.chance(4)) name = name.replace('/', '//');
  const target =
    kind === 'hardlink'
      ? files.length > 0 && random.chance(92)
        ? `${random.pick(['', '/', './', '../'])}${random.pick(files)}`
        : randomPath(random).join('/')
      : randomTarget(random);
  if (kind === 'file' || kind === 'fifo' || (kind === 'symlink' && random.chance(50)) || kind === 'hardlink') {
    files.push(path);
  }
  const xattrs: Record<string, string> = {};
  if ((kind === 'file' || kind === 'dir') && random.chance(20)) xattrs['user.note'] = `v\n${random.below(100)}=\xff`;
  if ((kind === 'file' || kind === 'symlink') && random.chance(10)) xattrs['trusted.t'] = `\x01${random.below(9)}`;
  return {
    kind,
    at,
    name,
    mode: random.pick([0o644, 0o755, 0o600, 0o4755, 0o2750, 0o1777, 0o400, 0o700]),
    uid: random.pick([0, 0, 1000, 65534, 2_500_000]),
    gid: random.pick([0, 0, 5, 70_000]),
    mtimeNs:
      BigInt(random.pick([0, 1, 1_600_000_000, 1_700_000_000 + random.below(1000), -5])) * 1_000_000_000n +
      BigInt(random.pick([0, 0, 500_000_000, 123_456_789, 1])),
    target,
    content:
      kind === 'file'
        ? 'x'.repeat(random.pick([0, 1, 7, 511, 512, 600])).replace(/^x+/, (all) => all.slice(0, -1) + random.below(10))
        : '',
    xattrs,
  };
}

/** Writes an entry in a dialect of tar that can hold it. */
function encoded(entry: RandomEntry, random: Random, tame: boolean): Buffer {
  const { kind } = entry;
  const plain = Object.keys(entry.xattrs).length === 0 && entry.mtimeNs % 1_000_000_000n === 0n && entry.mtimeNs >= 0n;
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
  const device = kind === 'char' || kind === 'block';
  const type = kind === 'whiteout' || kind === 'opaque' ? random.pick(['0', '0', '5', '6']) : TYPES[kind];
  return tarEntry(
    {
      path: bytes(entry.name),
      type,
      mode: entry.mode,
      ...(kind === 'symlink' || kind === 'hardlink' ? { linkname: bytes(entry.target) } : {}),
      ...(kind === 'file' ? { body: bytes(entry.content) } : {}),
      ...(device ? { devmajor: 8, devminor: entry.mode % 256 } : {}),
    },
    {
      uid: entry.uid,
      gid: entry.gid,
      mtime: entry.mtimeNs,
      xattrs: Object.fromEntries(Object.entries(entry.xattrs).map(([key, value]) => [key, bytes(value)])),
      xattrStyle: !tame && random.chance(20) ? 'libarchive' : 'schily',
      format: plain && entry.uid < 2_000_000 && random.chance(50) ? random.pick(['gnu', 'ustar'] as const) : 'pax',
    },
  );
}
