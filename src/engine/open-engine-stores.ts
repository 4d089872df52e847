/** An engine's parts in one folder: all that `pull` and `push` need, ready to be used or replaced one by one. */
import { join } from 'node:path';
import type { BlobDir } from '../content/blob-dir.js';
import { ContentStore } from '../content/content-store.js';
import { wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { cacheFolder } from '../io/cache-folder.js';
import { makeFolders } from '../io/make-folders.js';
import { type DownloadManagerOptions, LayerDownloadManager } from './download-manager.js';
import { type ImageConfigStore, imageConfigStoreFromStore } from './image-config-store.js';
import { FileMetadataStore } from './metadata-store.js';
import { LayerStoreProvider } from './push-layer.js';
import { FileReferenceStore } from './reference-store.js';
import { LayerUploadManager, type UploadManagerOptions } from './upload-manager.js';

/** The parts. Spread them into a `PullConfig` or a `PushConfig`, and put your own after them. */
export interface EngineStores {
  /** Manifests, indexes and configs. */
  readonly contentStore: BlobDir;
  readonly imageStore: ImageConfigStore;
  readonly referenceStore: FileReferenceStore;
  readonly metadataStore: FileMetadataStore;
  readonly downloadManager: LayerDownloadManager;
  readonly uploadManager: LayerUploadManager;
  readonly layerProvider: LayerStoreProvider;
}

/** Options of `openEngineStores`. */
export interface EngineStoresOptions {
  /** Default `$XDG_CACHE_HOME/rootfs-kit/engine-v1`. */
  readonly folder?: string | undefined;
  readonly download?: DownloadManagerOptions | undefined;
  readonly upload?: UploadManagerOptions | undefined;
}

/**
 * Opens the parts in a folder, which is made where it is missing: `content/`, `layers/`, `metadata/`, `references.json`.
 *
 * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`, `ERR_OPTION_INVALID`
 */
export async function openEngineStores(options: EngineStoresOptions = {}): Promise<EngineStores> {
  const folder = absolutePath(options.folder ?? cacheFolder('engine-v1'), 'folder');
  const [content, layers] = [join(folder, 'content'), join(folder, 'layers')];
  for (const path of [content, layers]) {
    try {
      makeFolders(path, { mode: 0o700 });
    } catch (error) {
      throw wrapSystemError(error, path, 'give a folder that can be made and written');
    }
  }
  const { blobs: contentStore } = await ContentStore.open(content);
  return {
    contentStore,
    imageStore: imageConfigStoreFromStore(contentStore),
    referenceStore: new FileReferenceStore(folder),
    metadataStore: new FileMetadataStore(join(folder, 'metadata')),
    downloadManager: new LayerDownloadManager(layers, options.download),
    uploadManager: new LayerUploadManager(options.upload),
    layerProvider: new LayerStoreProvider(layers),
  };
}
