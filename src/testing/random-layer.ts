/** Writes one random layer: whiteouts against the tree below, then entries, each applied to the expected tree too. */

import type { Corner } from './corner.js';
import { type ExpectedAttributes, type ExpectedNode, type ExpectedTree, impliedDirectory } from './expected-tree.js';
import { LayerBuilder } from './layer-builder.js';
import type { SeededRandom } from './seeded-random.js';
import type { EntryOptions } from './tar-entry.js';

const MODES = [0o4755, 0o2755, 0o1777, 0o600, 0o700, 0o7777, 0o444, 0o111, 0o640];
const IDS = [0, 1, 33, 1000, 65_534, 2_097_151, 3_000_000];
const XATTRS = ['user.note', 'user.rootfs-kit', 'trusted.x'];
const CAPABILITIES = `\x01\0\0\x02\x0a\xff${'\0'.repeat(14)}`;
const TIMES = [0n, 1n, 999_999_999n, -1n, -1_500_000_000n, 1_704_067_200_123_456_789n, 8_589_934_592n * 1_000_000_000n];

/** One layer in the making. */
export class RandomLayer {
  readonly #random: SeededRandom;
  readonly #tree: ExpectedTree;
  readonly #without: ReadonlySet<Corner>;
  /** Each writes one entry; the order is that of the tar. */
  readonly #entries: ((layer: LayerBuilder) => void)[] = [];
  readonly #written: string[] = [];

  constructor(random: SeededRandom, tree: ExpectedTree, without: ReadonlySet<Corner>) {
    this.#random = random;
    this.#tree = tree;
    this.#without = without;
  }

  /** The tar of the layer, with about so many entries; whiteouts only where there are layers below. */
  write(count: number, hasLower: boolean): Buffer {
    const whiteouts = hasLower && count > 0 ? this.#whiteouts() : [];
    for (let at = 0; at < count; at += 1) this.#step();
    const order = [...this.#entries];
    // anywhere between the entries, but in their own order: the parent of one may be removed by the next
    let from = 0;
    for (const whiteout of whiteouts) {
      if (this.#has('late-whiteouts')) from += this.#random.int(order.length - from + 1);
      order.splice(from, 0, whiteout);
      from += 1;
    }
    if (count > 0 && this.#has('link-before-target') && this.#random.chance(40))
      order.push(...this.#linkBeforeTarget());
    const layer = new LayerBuilder();
    for (const entry of order) entry(layer);
    return layer.tar();
  }

  #has(corner: Corner): boolean {
    return !this.#without.has(corner);
  }

  #whiteouts(): ((layer: LayerBuilder) => void)[] {
    const out: ((layer: LayerBuilder) => void)[] = [];
    const add = (path: string, opaque: boolean): void => {
      const bytes = this.#spell(path);
      out.push((layer) => void (opaque ? layer.opaque(bytes) : layer.whiteout(bytes)));
    };
    const below = [...this.#tree.entries()];
    // either through links or of links: both in one layer would depend on which acts first
    const through = this.#has('symlinked-parents') && this.#random.chance(40);
    if (this.#has('whiteouts')) {
      for (let at = this.#random.int(4); at > 0 && below.length > 0; at -= 1) {
        const [path, node] = this.#random.pick(below);
        const spelled = through ? this.#throughLink(path, below) : path;
        if (this.#tree.find(path) !== node || (through && node.type !== 'file')) continue;
        add(spelled, false);
        this.#tree.remove(spelled);
      }
      if (this.#random.chance(20)) add(`absent${this.#random.int(3)}`, false);
    }
    const dirs = below.filter(([path, node]) => node.type === 'directory' && this.#tree.find(path) === node);
    if (this.#has('opaque') && !through && dirs.length > 0 && this.#random.chance(35)) {
      const [path] = this.#random.pick(dirs);
      add(path, true);
      this.#tree.clear(path);
    }
    return out;
  }

  /** The same file by way of a link to its directory, where there is one. */
  #throughLink(path: string, below: readonly (readonly [string, ExpectedNode])[]): string {
    const slash = path.lastIndexOf('/');
    const dir = this.#tree.find(path.slice(0, Math.max(0, slash)));
    const name = path.slice(slash + 1);
    const links = below.filter(([, node]) => node.type === 'symlink').map(([link]) => `${link}/${name}`);
    return links.find((link) => this.#tree.find(link) === dir?.children?.get(name)) ?? path;
  }

  #step(): void {
    const random = this.#random;
    const path = this.#path();
    if (path === undefined) return;
    const way = this.#tree.survey(path);
    if (way.blocked || (way.crossesLink && !this.#has('symlinked-parents'))) return;
    if ((way.dangles && !this.#has('dangling-parents')) || (way.missing && !this.#has('missing-parents'))) return;
    if (way.replaces && !this.#has('file-as-parent')) return;
    const old = this.#tree.find(path);
    if (old !== undefined && !this.#has('type-changes')) {
      if (old.type === 'directory') this.#dir(path);
      else if (old.type === 'file') this.#file(path);
      return;
    }
    const leaf = path.slice(path.lastIndexOf('/') + 1);
    const rank = /^d([0-7])$/.exec(leaf)?.[1];
    const dice = random.int(100);
    if (rank !== undefined && (dice < 62 || !this.#has('symlinked-parents'))) this.#dir(path);
    else if (rank !== undefined && dice < 85) this.#symlink(path, this.#higher(Number(rank)));
    else if (dice < 50) this.#file(path);
    else if (dice < 62) this.#symlink(path, random.pick(['f0', '/f1', '../nothing', 'd3/f2', '.', '/']));
    else if (dice < 80 && !way.replaces && old?.type !== 'directory') this.#hardlink(path);
    else if (dice < 90) this.#device(path);
    else this.#file(path);
    if (this.#has('times') && random.chance(3)) this.#dir('');
  }

  /** Where a link of a rank may point: to a directory of a higher one, or to what nobody has written. */
  #higher(rank: number): string {
    const random = this.#random;
    if (rank === 7 || (this.#has('dangling-parents') && random.chance(25))) return `/nowhere${random.int(3)}`;
    const target = `d${rank + 1 + random.int(7 - rank)}`;
    if (!this.#has('dangling-parents') && this.#tree.find(target)?.type !== 'directory') return '/';
    return random.pick([`/${target}`, `/${target}`, this.#has('dangling-parents') ? `../${target}` : `/${target}`]);
  }

  /** A path to write: something that is there, something below what is there, or something new. */
  #path(): string | undefined {
    const random = this.#random;
    const known = [...this.#tree.entries()];
    const dice = random.int(100);
    if (dice < 12 && this.#has('duplicates') && this.#written.length > 0) return random.pick(this.#written);
    if (dice < 30 && known.length > 0) return random.pick(known)[0];
    const isParent = (node: ExpectedNode, path: string): boolean => {
      if (node.type === 'directory') return true;
      if (node.type === 'symlink') return this.#has('symlinked-parents') && /(^|\/)d[0-7]$/.test(path);
      return this.#has('file-as-parent') && random.chance(10);
    };
    const parents = known.filter(([path, node]) => path.length < 400 && isParent(node, path));
    const name = this.#name();
    if (dice < 45 && this.#has('missing-parents')) return `${`d${random.int(8)}/`.repeat(1 + random.int(2))}${name}`;
    return dice < 60 || parents.length === 0 ? name : `${random.pick(parents)[0]}/${name}`;
  }

  #name(): string {
    const random = this.#random;
    const dice = random.int(100);
    if (dice < 40) return `d${random.int(8)}`;
    if (dice < 46 && this.#has('bytes')) return `b\xff\xfe${random.int(3)}`;
    if (dice < 50 && this.#has('bytes')) return Buffer.from(`ü${random.int(3)}`).toString('latin1');
    if (dice < 55 && this.#has('long-names')) return `long-${'n'.repeat(90 + random.int(130))}`;
    return `f${random.int(6)}`;
  }

  #attributes(type: ExpectedNode['type']): ExpectedAttributes {
    const random = this.#random;
    const xattrs = new Map<string, string>();
    if (this.#has('xattrs') && (type === 'file' || type === 'directory') && random.chance(15)) {
      xattrs.set(random.pick(XATTRS), random.bytes(1 + random.int(20)).toString('latin1'));
      // the kernel takes capabilities of this one form only; the first set holds the bytes 0x0a and 0xff
      if (type === 'file' && random.chance(30)) xattrs.set('security.capability', CAPABILITIES);
    }
    const usual = type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644;
    const strange = this.#has('modes') && type !== 'symlink' && random.chance(30);
    const owned = this.#has('owners') && random.chance(30);
    const time = this.#has('times') && random.chance(40);
    return {
      mode: strange ? random.pick(MODES) : usual,
      uid: owned ? random.pick(IDS) : 0,
      gid: owned ? random.pick(IDS) : 0,
      mtime: time ? random.pick(TIMES) : BigInt(1_600_000_000 + random.int(100_000_000)) * 1_000_000_000n,
      xattrs,
    };
  }

  #options(attributes: ExpectedAttributes): EntryOptions {
    const { xattrs, ...rest } = attributes;
    const bytes = [...xattrs].map(([name, value]) => [name, Buffer.from(value, 'latin1')] as const);
    return { ...rest, ...(bytes.length === 0 ? {} : { xattrs: Object.fromEntries(bytes) }) };
  }

  /** A path as it stands in the tar: bytes, at times with a prefix that means nothing. */
  #spell(path: string): Buffer {
    const prefix = this.#has('prefixes') ? this.#random.pick(['', '', '', './', '/', './/']) : '';
    return Buffer.from(path === '' ? './' : prefix + path, 'latin1');
  }

  #put(path: string, node: ExpectedNode, write: (layer: LayerBuilder, path: Buffer) => unknown): void {
    const bytes = this.#spell(path);
    this.#entries.push((layer) => void write(layer, bytes));
    this.#tree.put(path, node);
    if (path !== '') this.#written.push(path);
  }

  #dir(path: string): void {
    const attributes = this.#attributes('directory');
    const options = this.#options(attributes);
    this.#put(path, { ...impliedDirectory(), attributes }, (layer, bytes) => layer.dir(bytes, options));
  }

  #file(path: string): void {
    const attributes = this.#attributes('file');
    const options = this.#options(attributes);
    const content = this.#random.bytes(this.#random.pick([0, 1, 7, 100, 511, 512, 513, 2000]));
    this.#put(path, { type: 'file', attributes, content }, (layer, bytes) => layer.file(bytes, content, options));
  }

  #symlink(path: string, target: string): void {
    const attributes = this.#attributes('symlink');
    const options = this.#options(attributes);
    this.#put(path, { type: 'symlink', attributes, target }, (layer, bytes) => layer.symlink(bytes, target, options));
  }

  #device(path: string): void {
    const type = this.#random.pick(['char', 'block', 'fifo'] as const);
    if (!this.#has('devices')) return;
    const attributes = this.#attributes(type);
    const options = this.#options(attributes);
    if (type === 'fifo') {
      this.#put(path, { type, attributes }, (layer, bytes) => layer.fifo(bytes, options));
      return;
    }
    const [major, minor] = [1 + this.#random.int(200), this.#random.int(256)];
    this.#put(path, { type, attributes, major, minor }, (layer, bytes) =>
      layer.device(bytes, type, major, minor, options),
    );
  }

  #hardlink(path: string): void {
    if (!this.#has('hardlinks')) return;
    const targets = [...this.#tree.entries()].filter(([, node]) => node.type === 'file' || node.type === 'symlink');
    if (targets.length === 0) return;
    const [target, node] = this.#random.pick(targets);
    if (this.#tree.find(path) === node) return;
    const spelled = this.#spell(target);
    this.#put(path, node, (layer, bytes) => layer.hardlink(bytes, spelled));
  }

  #linkBeforeTarget(): ((layer: LayerBuilder) => void)[] {
    let name = 'late';
    while (this.#tree.find(`${name}-target`) !== undefined || this.#tree.find(`${name}-link`) !== undefined)
      name += '-';
    const attributes = this.#attributes('file');
    const options = this.#options(attributes);
    const node: ExpectedNode = { type: 'file', attributes, content: this.#random.bytes(30) };
    this.#tree.put(`${name}-target`, node);
    this.#tree.put(`${name}-link`, node);
    return [
      (layer) => void layer.hardlink(`${name}-link`, `${name}-target`),
      (layer) => void layer.file(`${name}-target`, node.content ?? '', options),
    ];
  }
}
