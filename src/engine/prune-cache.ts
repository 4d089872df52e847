/** Making room in the caches, without taking anything from those who use it. */
import type { CallOptions } from '../content/content.js';
import { listLeases, withoutNewLeases } from '../content/lease.js';
import type { LeaseInfo } from '../content/lease-info.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Digest } from '../spec/digest.js';
import {
  type BlobFolder,
  type CachePlaces,
  cachePlaces,
  isOneFolder,
  openImageBlobs,
  openImageLayout,
  openLayerBlobs,
} from './cache-places.js';
import { contentsBelow, type ImageContents, readImages } from './cached-images.js';
import { keptForms } from './kept-forms.js';

/** Options of `pruneCache`. */
export interface PruneOptions extends CachePlaces, CallOptions {
  /** Removes what was used longest ago until both caches together have at most this many bytes. */
  readonly maxSize?: number | undefined;
  /** Removes what was not used for this many milliseconds. */
  readonly olderThanMs?: number | undefined;
  /** Tells what would be removed, and removes nothing; nobody waits meanwhile. Default false. */
  readonly dryRun?: boolean | undefined;
}

/** Something that was removed, or would be. */
export interface PrunedItem {
  /** `blob`: content of the image cache that no image names any more. */
  readonly kind: 'image' | 'blob' | 'layer';
  readonly digest: Digest;
  readonly names: readonly string[];
  /** Bytes that its removal gave back. */
  readonly bytes: number;
}

/** What pruning came to. */
export interface CachePruning {
  readonly removed: readonly PrunedItem[];
  readonly freedBytes: number;
  /** Bytes that are left in both caches. */
  readonly keptBytes: number;
  /** Bytes of the root file systems that are kept beside the layers: they are neither counted nor removed. */
  readonly formBytes: number;
  /** Images and layers that would have gone, had nobody used them. */
  readonly protectedItems: number;
}

/** The file system's clock runs behind the process's by a moment. */
const CLOCK_SLACK_MS = 2_000;

/**
 * Removes what was used longest ago, and what no image names any more. What a lease names, and what belongs to an
 * image that it names, stay, whatever was asked for. Root file systems that are kept beside the layers stay, too: no
 * lease tells who uses one. While this runs, whoever wants to use the caches waits; two of it run one after the other.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_MANIFEST_INVALID`, `ERR_LAYOUT_INVALID` (the cache's list of images is
 *   damaged or gone), `ERR_PERMISSION`, `ERR_FILESYSTEM`; the signal's reason
 */
export async function pruneCache(options: PruneOptions = {}): Promise<CachePruning> {
  check('maxSize', options.maxSize, 'bytes');
  check('olderThanMs', options.olderThanMs, 'milliseconds');
  const { signal, onProgress } = options;
  throwIfAborted(signal);
  const folders = cachePlaces(options);
  const images = await openImageBlobs(folders.images);
  const layers = await openLayerBlobs(folders.layers);
  const locked = async <T>(
    folder: BlobFolder | undefined,
    work: (leases: readonly LeaseInfo[]) => Promise<T>,
  ): Promise<T> => {
    if (folder === undefined) return work([]);
    // Who only looks keeps nobody waiting, and may do so where nothing can be written.
    if (options.dryRun === true) return work(await listLeases(folder.root));
    return withoutNewLeases(folder.root, work, { signal, onProgress });
  };
  const formBytes = (await keptForms(folders.layers)).reduce((sum, { bytes }) => sum + bytes, 0);
  const prune = async (imageLeases: readonly LeaseInfo[], layerLeases: readonly LeaseInfo[]): Promise<CachePruning> => {
    const room = new Room(options);
    if (images !== undefined) await addImages(room, images, imageLeases);
    if (layers !== undefined) await addLayers(room, layers, layerLeases);
    const pruned = await room.make();
    if (options.dryRun !== true) {
      await images?.blobs.sweep().catch(() => []);
      await layers?.blobs.sweep().catch(() => []);
    }
    return { ...pruned, formBytes };
  };
  // The lock of a folder is taken once: a second time it would wait for itself.
  if (images !== undefined && layers !== undefined && (await isOneFolder(images, layers))) {
    return locked(images, (leases) => prune(leases, leases));
  }
  return locked(images, (imageLeases) => locked(layers, (layerLeases) => prune(imageLeases, layerLeases)));
}

/** Something that can be removed as a whole. */
interface Candidate {
  readonly kind: PrunedItem['kind'];
  readonly digest: Digest;
  readonly names: readonly string[];
  readonly usedAt: number;
  readonly isProtected: boolean;
  /** Whether something else needs it as things stand. */
  isNeeded(): boolean;
  /** Bytes that go when it goes, as things stand. */
  bytes(): number;
  /** Counts it as gone, and notes what is to be removed. */
  give(): void;
}

class Room {
  readonly #options: PruneOptions;
  readonly #candidates: Candidate[] = [];
  readonly #removals: ((call: CallOptions) => Promise<void>)[] = [];
  #total = 0;

  constructor(options: PruneOptions) {
    this.#options = options;
  }

  add(candidate: Candidate): void {
    this.#candidates.push(candidate);
  }

  /** @param remove Removes, together, what candidates have given. */
  onRemove(remove: (call: CallOptions) => Promise<void>): void {
    this.#removals.push(remove);
  }

  count(bytes: number): void {
    this.#total += bytes;
  }

  async make(): Promise<Omit<CachePruning, 'formBytes'>> {
    const { maxSize, olderThanMs, dryRun = false, signal } = this.#options;
    const before = olderThanMs === undefined ? Number.NEGATIVE_INFINITY : Date.now() - olderThanMs;
    const removed: PrunedItem[] = [];
    let protectedItems = 0;
    let given: number;
    let left = this.#candidates.sort((a, b) => a.usedAt - b.usedAt);
    // Again for what was needed by something that has gone after it.
    do {
      given = removed.length;
      const needed: Candidate[] = [];
      for (const candidate of left) {
        const { kind, digest, names } = candidate;
        const tooMuch = maxSize !== undefined && this.#total > maxSize;
        if (kind !== 'blob' && !tooMuch && candidate.usedAt >= before) continue;
        if (candidate.isNeeded()) {
          needed.push(candidate);
          continue;
        }
        if (candidate.isProtected) {
          if (kind !== 'blob') protectedItems += 1;
          continue;
        }
        const bytes = candidate.bytes();
        candidate.give();
        this.#total -= bytes;
        removed.push({ kind, digest, names, bytes });
      }
      left = needed;
    } while (removed.length > given);
    throwIfAborted(signal);
    if (!dryRun) for (const remove of this.#removals) await remove({ signal });
    const freedBytes = removed.reduce((sum, { bytes }) => sum + bytes, 0);
    return { removed, freedBytes, keptBytes: this.#total, protectedItems };
  }
}

async function addImages(room: Room, folder: BlobFolder, leases: readonly LeaseInfo[]): Promise<void> {
  const layout = await openImageLayout(folder.root);
  const since = oldest(leases);
  const kept = new Set<Digest>();
  for (const lease of leases) {
    for (const root of lease.digests) {
      for (const digest of await contentsBelow(folder.root, layout, root)) kept.add(digest);
    }
  }
  const sizes = new Map<Digest, number>();
  for await (const { digest, size, createdAt } of folder.walk()) {
    room.count(size);
    sizes.set(digest, size);
    if (createdAt >= since) kept.add(digest);
  }
  /** How many images name a blob. */
  const uses = new Map<Digest, number>();
  const images = await readImages(folder.root, layout);
  for (const { present } of images) {
    for (const digest of present.keys()) uses.set(digest, (uses.get(digest) ?? 0) + 1);
  }
  const leaves = ({ present }: ImageContents): Digest[] =>
    [...present.keys()].filter((digest) => uses.get(digest) === 1 && !kept.has(digest));
  const roots: Digest[] = [];
  const blobs: Digest[] = [];
  room.onRemove(async (call) => {
    // One change of the layout's index: one for each image would cost their number squared.
    const unname = async (): Promise<void> => {
      if (roots.length > 0) await layout.deleteAll(roots, call);
    };
    try {
      await unname();
    } catch (error) {
      if (!(error instanceof RootfsError) || error.code !== 'ERR_NO_SPACE') throw error;
      // A new index needs room, and the disk is full. Images of which the name is left are images in part.
      await deleteBlobs(folder, blobs, call);
      await unname();
    }
    await deleteBlobs(folder, blobs, call);
  });
  for (const image of images) {
    room.add({
      kind: 'image',
      digest: image.digest,
      names: image.names,
      usedAt: image.usedAt,
      isProtected: kept.has(image.digest),
      isNeeded: () => (uses.get(image.digest) ?? 0) > 1,
      bytes: () => leaves(image).reduce((sum, digest) => sum + (sizes.get(digest) ?? 0), 0),
      give() {
        roots.push(image.digest);
        for (const digest of leaves(image)) if (digest !== image.digest) blobs.push(digest);
        for (const digest of image.present.keys()) uses.set(digest, (uses.get(digest) ?? 1) - 1);
      },
    });
  }
  for (const [digest, size] of sizes) {
    if (uses.has(digest)) continue;
    room.add({
      kind: 'blob',
      digest,
      names: [],
      usedAt: 0,
      isProtected: kept.has(digest),
      isNeeded: () => false,
      bytes: () => size,
      give: () => void blobs.push(digest),
    });
  }
}

async function addLayers(room: Room, folder: BlobFolder, leases: readonly LeaseInfo[]): Promise<void> {
  const since = oldest(leases);
  const kept = new Set(leases.flatMap(({ digests }) => digests));
  const blobs: Digest[] = [];
  room.onRemove((call) => deleteBlobs(folder, blobs, call));
  for await (const { digest, size, createdAt } of folder.walk()) {
    room.count(size);
    room.add({
      kind: 'layer',
      digest,
      names: [],
      usedAt: (await folder.blobs.lastUsed(digest)) ?? createdAt,
      isProtected: kept.has(digest) || createdAt >= since,
      isNeeded: () => false,
      bytes: () => size,
      give: () => void blobs.push(digest),
    });
  }
}

async function deleteBlobs({ blobs }: BlobFolder, digests: readonly Digest[], call: CallOptions): Promise<void> {
  for (const digest of digests) await blobs.delete(digest, call);
}

/** What came in from then on may belong to somebody who cannot name it yet. */
function oldest(leases: readonly LeaseInfo[]): number {
  return Math.min(...leases.filter(({ open }) => open).map(({ createdAt }) => createdAt)) - CLOCK_SLACK_MS;
}

function check(name: string, value: number | undefined, unit: string): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new RootfsError('ERR_OPTION_INVALID', `${name}: ${String(value)} is not a number of ${unit}; give 0 or more`, {
    detail: { option: name },
  });
}
