/**
 * Random layers as builders on overlayfs write them: every layer names the directories it writes into, whiteouts stand
 * first and hide what the layer does not bring back, no path leads through a link, no name stands twice. What is left out
 * is told: engines on overlayfs refuse it or mean something else by it.
 */
import { encodeLayer, Random, type RandomEntry, type RandomLayer, randomLayers } from './random-layers.js';

const ROOT: RandomEntry = {
  kind: 'dir',
  at: [],
  name: './',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeNs: 1_600_000_000_000_000_000n,
  target: '',
  content: '',
  xattrs: {},
};

/** Why an entry is left out: an allowed difference's name. */
export type LeftOut = 'through-no-directory' | 'equal-names' | 'brought-back' | 'opaque-of-nothing' | 'link-elsewhere';

/** The layers of one image, base first: those of `randomLayers`, with all left out on which engines may differ. */
export function plainLayers(seed: number, leftOut: (why: LeftOut) => void = () => {}): RandomLayer[] {
  const random = new Random(seed);
  /** Directories of the layers so far as they were last described, and every path that was ever something else. */
  const directories = new Map<string, RandomEntry>([['', ROOT]]);
  const others = new Set<string>();
  return randomLayers(seed, true).map((layer) => {
    const entries = plainLayer(
      [...removals(random, directories, others), ...layer.entries],
      directories,
      others,
      leftOut,
    );
    return { entries, tar: encodeLayer(entries, random, true) };
  });
}

/** The images of some seeds as one: each in a folder of its own, `seed<n>`, its first layer in the first layer… */
export function sideBySide(seeds: readonly number[], leftOut: (why: LeftOut) => void = () => {}): RandomLayer[] {
  const random = new Random(seeds[0] as number);
  const all = seeds.map((seed) =>
    plainLayers(seed, leftOut).map(({ entries }) => entries.map((one) => moved(one, seed))),
  );
  return Array.from({ length: Math.max(...all.map(({ length }) => length)) }, (_, index) => {
    const entries = all.flatMap((layers) => layers[index] ?? []);
    return { entries, tar: encodeLayer(entries, random, true) };
  });
}

function moved(entry: RandomEntry, seed: number): RandomEntry {
  const folder = `seed${seed}`;
  const into = (name: string): string => name.replace(/^(\.{0,2}\/)?/, `$1${folder}/`);
  const target = entry.kind === 'hardlink' ? into(entry.target) : entry.target;
  return { ...entry, at: [folder, ...entry.at], name: into(entry.name), target };
}

/** Whiteouts of what the layers so far hold. */
function removals(
  random: Random,
  directories: ReadonlyMap<string, RandomEntry>,
  others: ReadonlySet<string>,
): RandomEntry[] {
  const known = [...directories.keys(), ...others, ...others].filter((path) => path !== '');
  const found = Array.from({ length: known.length === 0 ? 0 : random.below(4) }, () => random.pick(known));
  return [...new Set(found)].map((path) => {
    const kind = directories.has(path) && random.chance(60) ? 'opaque' : 'whiteout';
    return { ...ROOT, kind, at: path.split('/') };
  });
}

function plainLayer(
  wanted: readonly RandomEntry[],
  directories: Map<string, RandomEntry>,
  others: Set<string>,
  leftOut: (why: LeftOut) => void,
): RandomEntry[] {
  const entries: RandomEntry[] = [];
  const named = new Map<string, RandomEntry>();
  const broughtBack = (path: string, whiteout: RandomEntry): boolean =>
    wanted.some((other) => other !== whiteout && `${other.at.join('/')}/`.startsWith(`${path}/`));
  const put = (entry: RandomEntry): void => {
    const path = entry.at.join('/');
    entries.push(entry);
    named.set(isWhiteout(entry.kind) ? `${path} ${entry.kind}` : path, entry);
    if (entry.kind === 'dir') {
      others.delete(path);
      directories.set(path, { ...entry, name: `./${path}/` });
    } else if (!isWhiteout(entry.kind)) {
      forget(path, directories, others);
      others.add(path);
    }
  };
  const putParents = (at: readonly string[]): void => {
    for (let length = 0; length <= at.length; length += 1) {
      const parent = at.slice(0, length);
      const path = parent.join('/');
      if (named.has(path)) continue;
      put(directories.get(path) ?? { ...ROOT, at: parent, name: `${path}/`, mode: 0o711 });
    }
  };
  const whyNot = (entry: RandomEntry): LeftOut | undefined => {
    const path = entry.at.join('/');
    const whiteout = isWhiteout(entry.kind);
    if (named.has(whiteout ? `${path} ${entry.kind}` : path)) return 'equal-names';
    if (entry.at.some((_, index) => others.has(entry.at.slice(0, index).join('/')))) return 'through-no-directory';
    if (whiteout && broughtBack(path, entry)) return 'brought-back';
    if (entry.kind === 'opaque' && (entry.at.length === 0 || !directories.has(path))) return 'opaque-of-nothing';
    // What the layer itself put below a name stays where it is.
    const full = [...named.keys()].some((known) => known.startsWith(`${path}/`));
    if (entry.kind !== 'dir' && !whiteout && full) return 'equal-names';
    const target = entry.kind === 'hardlink' ? named.get(entry.target.replace(/^[./]+/, ''))?.kind : 'file';
    return target === undefined || target === 'dir' ? 'link-elsewhere' : undefined;
  };
  for (const entry of wanted) {
    const path = entry.at.join('/');
    const whiteout = isWhiteout(entry.kind);
    const why = whyNot(entry);
    if (why !== undefined) {
      leftOut(why);
      continue;
    }
    putParents(entry.kind === 'opaque' ? entry.at : entry.at.slice(0, -1));
    if (!named.has(path) || whiteout) put({ ...entry, name: tidyName(entry) });
    if (entry.kind === 'whiteout') forget(path, directories, others);
    if (entry.kind === 'opaque') forget(`${path}/`, directories, others);
  }
  return entries;
}

function forget(path: string, directories: Map<string, RandomEntry>, others: Set<string>): void {
  const below = path.endsWith('/') ? path : `${path}/`;
  for (const known of [...directories.keys()]) {
    if (known === path || known.startsWith(below)) directories.delete(known);
  }
  for (const known of [...others]) if (known === path || known.startsWith(below)) others.delete(known);
}

function tidyName({ kind, at }: RandomEntry): string {
  const path = at.join('/');
  if (kind === 'opaque') return `${path}/.wh..wh..opq`;
  if (kind !== 'whiteout') return kind === 'dir' ? `${path}/` : path;
  return [...at.slice(0, -1), `.wh.${at.at(-1)}`].join('/');
}

function isWhiteout(kind: RandomEntry['kind']): boolean {
  return kind === 'whiteout' || kind === 'opaque';
}
