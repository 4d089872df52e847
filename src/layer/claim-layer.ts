/**
 * One download for many callers: whoever is first extracts a layer, the others take what it made. Inside a process by
 * a table of what is under way, between processes by the lock of the digest.
 *
 * This saves work; nothing is right because of it. Who waits too long without seeing any progress goes on alone.
 */
import { stat } from 'node:fs/promises';
import { uptime } from 'node:process';
import type { BlobDir } from '../content/blob-dir.js';
import { delay, untilAborted } from '../io/abort.js';
import { type ReleaseLock, tryLock } from '../io/lock.js';
import type { Digest } from '../spec/digest.js';
import type { ImageLayer } from '../spec/image-layer.js';
import type { ExtractedLayer } from './open-layer.js';

/** How often a layer that another process works on is looked for, in milliseconds. */
const POLL_MS = 40;
const PATIENCE_MS = 30_000;

/** A layer, and whether somebody else made it. */
export interface ClaimedLayer {
  readonly layer: ExtractedLayer;
  readonly cached: boolean;
}

const underWay = new Map<string, Promise<ClaimedLayer | undefined>>();

/**
 * Gets a layer by `extract`, unless somebody else is at it: then waits and takes the result. When the other fails, the
 * next one tries.
 *
 * @param extract Is told whether the lock, and with it the partial of the digest, belongs to it.
 * @param patienceMs How long another process may show no progress before it is not waited for any more; 30 seconds.
 * @throws what `extract` throws, the signal's reason, RootfsError `ERR_FILESYSTEM`, `ERR_PERMISSION`, `ERR_NO_SPACE`
 */
export async function claimLayer(
  store: BlobDir,
  layer: ImageLayer,
  signal: AbortSignal,
  extract: (locked: boolean) => Promise<ExtractedLayer>,
  patienceMs: number = PATIENCE_MS,
): Promise<ClaimedLayer> {
  const key = `${store.root}\0${layer.descriptor.digest}\0${layer.diffId ?? ''}`;
  for (let other = underWay.get(key); other !== undefined; other = underWay.get(key)) {
    const claimed = await untilAborted(other, signal);
    if (claimed !== undefined) return { ...claimed, cached: true };
  }
  const attempt = claimBetweenProcesses(store, layer, signal, extract, patienceMs);
  const entry = attempt.then(
    (claimed) => claimed,
    () => undefined,
  );
  underWay.set(key, entry);
  try {
    return await attempt;
  } finally {
    if (underWay.get(key) === entry) underWay.delete(key);
  }
}

async function claimBetweenProcesses(
  store: BlobDir,
  layer: ImageLayer,
  signal: AbortSignal,
  extract: (locked: boolean) => Promise<ExtractedLayer>,
  patienceMs: number,
): Promise<ClaimedLayer> {
  const { digest } = layer.descriptor;
  const lock = store.lockPath(digest);
  const patience = new Patience(store.partialPath(digest), patienceMs);
  let release: ReleaseLock | undefined = await tryLock(lock);
  while (release === undefined && (await patience.lasts())) {
    await delay(POLL_MS, signal);
    const found = await findLayer(store, layer.diffId);
    if (found !== undefined) return { layer: found, cached: true };
    release = await tryLock(lock);
  }
  try {
    // Whoever held the lock may have finished between our first look and now.
    const found = await findLayer(store, layer.diffId);
    if (found !== undefined) return { layer: found, cached: true };
    return { layer: await extract(release !== undefined), cached: false };
  } finally {
    await release?.();
  }
}

async function findLayer(store: BlobDir, diffId: Digest | undefined): Promise<ExtractedLayer | undefined> {
  const found = diffId === undefined ? undefined : await store.find(diffId);
  return diffId === undefined || found === undefined ? undefined : { diffId, path: found.path, tarBytes: found.size };
}

/** Lasts as long as the other's partial grows, and a while beyond. */
class Patience {
  readonly #partial: string;
  readonly #milliseconds: number;
  #size = -1;
  #since = uptime();

  constructor(partial: string, milliseconds: number) {
    this.#partial = partial;
    this.#milliseconds = milliseconds;
  }

  async lasts(): Promise<boolean> {
    const size = await stat(this.#partial).then(
      (found) => found.size,
      () => -1,
    );
    if (size !== this.#size) {
      this.#size = size;
      this.#since = uptime();
    }
    return (uptime() - this.#since) * 1000 < this.#milliseconds;
  }
}
