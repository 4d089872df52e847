/** Layers as an engine pushes them, and where they come from. */
import type { Readable } from 'node:stream';
import type { CallOptions } from '../content/content.js';
import { ContentStore } from '../content/content-store.js';
import { type Lease, takeLease } from '../content/lease.js';
import { RootfsError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import type { Digest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { chainIdOf, readChain, recordChain } from './layer-chain.js';

/** One layer that can be pushed. Whoever got it gives it back with `release`. */
export interface PushLayer {
  /** Names it together with what stands below it. */
  readonly chainId: Digest;
  readonly diffId: Digest;
  /** What it stands on; `undefined` for a base. Released with this layer. */
  readonly parent: PushLayer | undefined;
  /** What `open` gives: an uncompressed tar, which is compressed on its way, or a layer as registries keep it. */
  readonly mediaType: string;
  /** Length in bytes of what `open` gives. */
  readonly size: number;
  /** Opens the bytes. May be called again. */
  open(options?: CallOptions): Promise<Readable>;
  /** Gives it back; a second call does nothing. */
  release(): Promise<void>;
}

/** Gives layers by their chainID. */
export interface PushLayerProvider {
  /** @throws RootfsError `ERR_NOT_FOUND` */
  get(chainId: Digest, options?: CallOptions): Promise<PushLayer>;
}

/**
 * Gives the layers of a store that layers were extracted into: uncompressed tars. Until they are released, a lease
 * keeps them from being pruned.
 */
export class LayerStoreProvider implements PushLayerProvider {
  /** The folder of the extracted layers. */
  readonly store: string;

  constructor(store: string) {
    this.store = absolutePath(store, 'store');
  }

  /** Notes which layers stand on which, base first: `LayerDownloadManager` does that for what it brings. */
  async register(diffIds: readonly Digest[]): Promise<Digest> {
    await recordChain(this.store, diffIds);
    return chainIdOf(diffIds);
  }

  /** See `PushLayerProvider`. @throws RootfsError `ERR_NOT_FOUND`, `ERR_PERMISSION`, `ERR_FILESYSTEM` */
  async get(chainId: Digest, options: CallOptions = {}): Promise<PushLayer> {
    const diffIds = await readChain(this.store, chainId);
    const content = await ContentStore.open(this.store);
    const lease = await takeLease(this.store, { ...options, purpose: 'push', digests: diffIds });
    try {
      let layer: StoredLayer | undefined;
      for (const [at, diffId] of diffIds.entries()) {
        const { size } = await content.info(diffId, options);
        layer = new StoredLayer(content, lease, { chainId: chainIdOf(diffIds.slice(0, at + 1)), diffId, size }, layer);
      }
      if (layer === undefined) throw new RootfsError('ERR_NOT_FOUND', `${chainId}: no layer in ${this.store}`);
      return layer;
    } catch (error) {
      await lease.release();
      throw error;
    }
  }
}

class StoredLayer implements PushLayer {
  readonly chainId: Digest;
  readonly diffId: Digest;
  readonly parent: PushLayer | undefined;
  readonly mediaType = MediaType.ociLayer;
  readonly size: number;
  readonly #content: ContentStore;
  readonly #lease: Lease;

  constructor(
    content: ContentStore,
    lease: Lease,
    facts: { readonly chainId: Digest; readonly diffId: Digest; readonly size: number },
    parent: PushLayer | undefined,
  ) {
    this.chainId = facts.chainId;
    this.diffId = facts.diffId;
    this.size = facts.size;
    this.parent = parent;
    this.#content = content;
    this.#lease = lease;
  }

  open(options: CallOptions = {}): Promise<Readable> {
    const target = { mediaType: this.mediaType, digest: this.diffId, size: this.size };
    return this.#content.blobs.fetch(target, options);
  }

  release(): Promise<void> {
    return this.#lease.release();
  }
}
