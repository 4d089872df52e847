/** rootfs-kit: container images to root file systems. The public face; it holds no code of its own. */

// client
export { type ExplainedLayer, explainLayers, type LayersExplanation } from './client/explain-layers.js';
export { type InstanceSource, type ListInstancesOptions, listInstances } from './client/list-instances.js';
export { createRegistryClient, type ExecuteOptions, type RegistryClient } from './client/registry-client.js';
export { type ValidateImageOptions, type ValidImage, validateImage } from './client/validate-image.js';
// content
export { type ArchiveFile, type ArchiveOptions, openArchiveFile } from './content/archive-file.js';
export { BlobDir, type BlobDirOptions, type FoundBlob } from './content/blob-dir.js';
export type { BlobFacts, BlobRecord } from './content/blob-record.js';
export type { FindOptions } from './content/blob-trust.js';
export type * from './content/content.js';
export { type ContentInfo, type ContentReader, ContentStore } from './content/content-store.js';
export { DirLayout } from './content/dir-layout.js';
export { DockerArchive } from './content/docker-archive.js';
export { type DockerDaemonOptions, openDockerDaemon } from './content/docker-daemon.js';
export type { EngineOptions } from './content/docker-engine.js';
export { fetchVerified, type ReadVerifiedOptions, readVerified } from './content/fetch-verified.js';
export type { ExpectedBlob, IngestStatus } from './content/ingest-state.js';
export type { CommitOptions, IngestOptions, IngestWriter } from './content/ingest-writer.js';
export {
  type Lease,
  type LeaseOptions,
  listLeases,
  releaseLease,
  takeLease,
  withoutNewLeases,
} from './content/lease.js';
export type { LeaseInfo } from './content/lease-info.js';
export type { AskUrls, LocalSource, Located } from './content/local-source.js';
export { MemoryStore } from './content/memory.js';
export { OciArchive } from './content/oci-archive.js';
export { OciLayout, type OciLayoutOptions } from './content/oci-layout.js';
export { withWorkingFolder } from './content/output-place.js';
export type { AuthConfig } from './engine/auth-config.js';
export type { CachePlaces } from './engine/cache-places.js';
export { type CachedImages, CachedRepository } from './engine/cached-repository.js';
export {
  type DownloadManager,
  type DownloadManagerOptions,
  LayerDownloadManager,
} from './engine/download-manager.js';
export type { EngineConfig, EventLogger, RegistryConfig } from './engine/engine-config.js';
export type { OpenedRepository } from './engine/get-repository.js';
export { ImageCache } from './engine/image-cache.js';
export type { ImageCacheOptions, ImageKeeper, PullPolicy } from './engine/image-cache-options.js';
export { type ImageConfigStore, imageConfigStoreFromStore } from './engine/image-config-store.js';
export type { KeptForm } from './engine/kept-forms.js';
export { chainIdOf } from './engine/layer-chain.js';
export { type CachedImage, type CachedLayer, type CacheListing, listCache } from './engine/list-cache.js';
export { FileMetadataStore, type LayerSighting, type MetadataStore } from './engine/metadata-store.js';
export { type EngineStores, type EngineStoresOptions, openEngineStores } from './engine/open-engine-stores.js';
export { type OpenImageCacheOptions, openImageCache } from './engine/open-image-cache.js';
export { type CachePruning, type PrunedItem, type PruneOptions, pruneCache } from './engine/prune-cache.js';
export type { PullConfig } from './engine/pull.js';
export type { PushConfig } from './engine/push.js';
export { LayerStoreProvider, type PushLayer, type PushLayerProvider } from './engine/push-layer.js';
export { FileReferenceStore, type ReferenceStore } from './engine/reference-store.js';
export { createRegistryResolver, type RegistryResolver, type RepositoryInfo } from './engine/registry-resolver.js';
export type { RepositoryFactory } from './engine/remotes.js';
export {
  type LayerUpload,
  LayerUploadManager,
  type UploadManager,
  type UploadManagerOptions,
} from './engine/upload-manager.js';
export { type CacheVerification, type DamagedBlob, verifyCache } from './engine/verify-cache.js';
// engine: the verbs stand under a name of their own, as `engine.pull`
export * as engine from './engine.js';
// ground
export {
  type ErrorCode,
  type ErrorDetail,
  type ErrorOptions,
  RegistryError,
  type RegistryErrorEntry,
  type RegistryErrorFacts,
  RootfsError,
  systemErrorCode,
  wrapSystemError,
} from './errors.js';
// export
export { type BundleOptions, type BundleResult, writeBundle } from './export/bundle.js';
export { type ErofsLayer, type ErofsOptions, type ErofsResult, writeErofs } from './export/erofs.js';
export { findOverlay, overlayPlace } from './export/find-overlay.js';
export { flatten, flattenTo } from './export/flatten.js';
export { type FlattenFileResult, flattenFile, type TreeSource } from './export/flatten-file.js';
export type { FlattenOptions } from './export/flatten-options.js';
export type { Form, FormInput, FormResult } from './export/form.js';
export { FORMS, findForm } from './export/forms.js';
export { type IdMap, parseIdMap } from './export/id-map.js';
export { type Ext4Options, writeExt4 } from './export/mkfs-ext4.js';
export { type MkfsResult, type SquashfsOptions, writeSquashfs } from './export/mkfs-squashfs.js';
export { type MountOptions, type MountResult, mountRootFS } from './export/mount.js';
export { type ListedMount, listMounts, type MountRecord } from './export/mount-record.js';
export { checkMount } from './export/mountpoint.js';
export { type OverlayResult, writeOverlay } from './export/overlay.js';
export type { OverlayFacts, OverlayOrigin } from './export/overlay-facts.js';
export type { OverlayOptions } from './export/overlay-options.js';
export { type PathFilter, type PathPatterns, pathFilter } from './export/path-filter.js';
export { type ProcessOptions, type ResolvedProcess, resolveProcess } from './export/resolve-process.js';
export { type UnmountOptions, type UnmountResult, unmountRootFS } from './export/unmount.js';
export { unpack } from './export/unpack.js';
export {
  type Loss,
  UNPACK_LIMITS,
  type UnpackLimits,
  type UnpackOptions,
  type UnpackResult,
} from './export/unpack-options.js';
export type { VerityRoot } from './export/verity.js';
export { createWritableCopy, type WritableCopy, type WritableCopyOptions } from './export/writable-copy.js';
// image
export type { ArchiveForm } from './image/archive-members.js';
export { type CopyDestination, type CopyImageOptions, type CopyResult, copyImage } from './image/copy-image.js';
export { fetchDescriptor } from './image/fetch-descriptor.js';
export { type FetchImageOptions, fetchImage } from './image/fetch-image.js';
export { type FetchedManifest, type FetchManifestOptions, fetchManifest } from './image/fetch-manifest.js';
export { type FindReferrersOptions, findReferrers } from './image/find-referrers.js';
export type { Image, ImageDocument } from './image/image.js';
export {
  type DownloadImageOptions,
  downloadImage,
  packageImage,
  removeImageDir,
} from './image/image-folder.js';
export { type ListPlatformsOptions, listPlatforms, type OfferedPlatform } from './image/list-platforms.js';
export { allTags, archiveFileName, type PullOptions, type PullResult, pull, pullAllTags } from './image/pull.js';
export {
  type ArchivePlace,
  type WantedImage,
  type WriteArchiveOptions,
  writeArchive,
} from './image/write-archive.js';
// io
export { type CacheName, type CachePlaceOptions, cacheFolder } from './io/cache-folder.js';
export type { Closable } from './io/close-after.js';
// layer
export { extractLayer } from './layer/extract-layer.js';
export { extractLayers } from './layer/extract-layers.js';
export type { ExtractOptions, LayerLimits } from './layer/extract-options.js';
export { type FetchLayerOptions, fetchLayer } from './layer/fetch-layer.js';
export type { LayerHandle } from './layer/layer.js';
export type { LayerSource } from './layer/layer-input.js';
export { closeLayerWorkers } from './layer/layer-workers.js';
export { type OpenedSource, type OpenOptions, openSource } from './open.js';
export { type CopiedTag, type OpenedDestination, openDestination } from './open-destination.js';
export { isStream, refuseNoImage, splitTransport, type Transport } from './places.js';
export { type PreparedRootfs, type PrepareOptions, prepareRootfs } from './prepare-rootfs.js';
export type { ProgressEvent, ProgressListener } from './progress.js';
// registry
export { checkLogin } from './registry/check-login.js';
export { closeConnections } from './registry/connections.js';
export type { CredentialPlaceOptions } from './registry/credential-places.js';
export {
  type CredentialSearchOptions,
  createCredentialSearch,
  type ExplicitCredential,
} from './registry/credential-search.js';
export type { Credential, CredentialProvider, CredentialScope, FoundCredential } from './registry/credentials.js';
export type {
  Endpoint,
  EndpointCapability,
  EndpointOptions,
  EndpointResolver,
  TlsSettings,
} from './registry/endpoint.js';
export {
  createEndpointSearch,
  type EndpointPlaceOptions,
  type EndpointSearchOptions,
} from './registry/endpoint-search.js';
export { type EndpointExplanation, explainEndpoint } from './registry/explain-endpoint.js';
export { type ExplainedEndpoint, explainRegistry, type RegistryExplanation } from './registry/explain-registry.js';
export { type GetTokenOptions, getToken } from './registry/get-token.js';
export { compareInstances, type Instance, type ListedPage } from './registry/listed-instances.js';
export { eraseCredential, type KeptCredential, type LoginOptions, storeCredential } from './registry/login.js';
export type { OpenRegistryOptions } from './registry/open-repository.js';
export type { RegistriesConfPlaces } from './registry/registries-conf.js';
export { createRegistry, type Registry } from './registry/registry.js';
export type { HttpDispatcher, RegistryOptions } from './registry/registry-options.js';
export { createRepository, type RegistryRepository } from './registry/repository.js';
export type { RegistryToken } from './registry/token-request.js';
// rootfs
export { type FindNodeOptions, findNode } from './rootfs/find-node.js';
export { type LayerTar, type MergeOptions, mergeLayers } from './rootfs/merge.js';
export type { MergeLimits } from './rootfs/merge-limits.js';
export { openRootFS } from './rootfs/open-rootfs.js';
export type { RootFS } from './rootfs/rootfs.js';
export * from './rootfs/tree.js';
export { type WalkedNode, walkTree } from './rootfs/walk-tree.js';
// spec
export { Annotation } from './spec/annotations.js';
export { describeArtifact, describeArtifactType, isAttestation } from './spec/artifact.js';
export type { Descriptor } from './spec/descriptor.js';
export { type Digest, type DigestAlgorithm, isDigest, type ParsedDigest, parseDigest } from './spec/digest.js';
export type { ContainerConfig, Healthcheck, HistoryEntry, ImageConfig } from './spec/image-config.js';
export type { ImageIndex } from './spec/image-index.js';
export type { ImageLayer } from './spec/image-layer.js';
export type { ImageLayout } from './spec/image-layout.js';
export type { ImageManifest } from './spec/image-manifest.js';
export {
  bareMediaType,
  describeLayerType,
  isConfigType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  type LayerType,
  layerCompression,
  MediaType,
} from './spec/media-types.js';
export {
  formatPlatform,
  type HostFacts,
  hostPlatform,
  isUnknownPlatform,
  normalizePlatform,
  type Platform,
  parsePlatform,
  platformOf,
} from './spec/platform.js';
export { isExactRank, rankPlatform } from './spec/rank-platform.js';
export {
  apiHost,
  credentialKey,
  familiarReference,
  formatReference,
  isLoopbackHost,
  MAX_REFERENCE_LENGTH,
  MAX_REPOSITORY_LENGTH,
  normalizeReference,
  parseReference,
  type Reference,
  type SplitImage,
  splitImage,
} from './spec/reference.js';
// tar
export { endOfArchive, padding } from './tar/block.js';
export { type ReadTarFileOptions, readTarFile } from './tar/read-tar-file.js';
export { readTarStream, type StreamedTarEntry } from './tar/read-tar-stream.js';
export type { TarEntry, TarEntryType, TarExtent, TarTime } from './tar/tar-entry.js';
export { type GivenLimits, TAR_LIMITS, type TarLimits } from './tar/tar-limits.js';
export { encodeHeader, type TarHeader } from './tar/write-header.js';

// export
