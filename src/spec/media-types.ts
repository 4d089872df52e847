/** The media types of images, OCI's and Docker's, and what each is. Pure. */

/** Media types by name. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md */
export const MediaType = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociArtifact: 'application/vnd.oci.artifact.manifest.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociForeignLayer: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
  ociForeignLayerGzip: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  ociForeignLayerZstd: 'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
  dockerForeignLayer: 'application/vnd.docker.image.rootfs.foreign.diff.tar',
  dockerForeignLayerGzip: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
} as const;

/** Whether a media type names an image manifest, OCI's or Docker's. */
export function isManifestType(mediaType: string): boolean {
  return mediaType === MediaType.ociManifest || mediaType === MediaType.dockerManifest;
}

/** Whether a media type names an index (OCI) or a manifest list (Docker). */
export function isIndexType(mediaType: string): boolean {
  return mediaType === MediaType.ociIndex || mediaType === MediaType.dockerManifestList;
}

/** Whether a media type names Docker's schema 1 manifest, signed or not. */
export function isSchema1Type(mediaType: string): boolean {
  return mediaType === MediaType.dockerSchema1 || mediaType === MediaType.dockerSchema1Signed;
}

/** What Docker's registry and clients wrote in place of the config's type in 2016; such manifests are still served. */
const UNTYPED_CONFIGS: ReadonlySet<string> = new Set(['application/octet-stream', 'application/json', 'text/html']);

/** Whether a manifest's config of this media type is (or, from old Docker, may be) an image config. */
export function isConfigType(mediaType: string): boolean {
  return mediaType === MediaType.ociConfig || mediaType === MediaType.dockerConfig || UNTYPED_CONFIGS.has(mediaType);
}

/** A media type without parameters, in lower case: `Application/JSON; charset=utf-8` is `application/json`. */
export function bareMediaType(mediaType: string): string {
  return (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** What a layer's media type says of it. */
export interface LayerType {
  /** How the tar is compressed; the bytes themselves decide, this is the second opinion. */
  readonly compression: 'none' | 'gzip' | 'zstd';
  /** Never pushed; where the registry has it not, its descriptor's `urls` do. */
  readonly nondistributable: boolean;
  /** Encrypted as ocicrypt does it: not readable here. */
  readonly encrypted: boolean;
}

const LAYER_TYPES: ReadonlyMap<string, Omit<LayerType, 'encrypted'>> = new Map([
  [MediaType.ociLayer, { compression: 'none', nondistributable: false }],
  [MediaType.ociLayerGzip, { compression: 'gzip', nondistributable: false }],
  [MediaType.ociLayerZstd, { compression: 'zstd', nondistributable: false }],
  [MediaType.ociForeignLayer, { compression: 'none', nondistributable: true }],
  [MediaType.ociForeignLayerGzip, { compression: 'gzip', nondistributable: true }],
  [MediaType.ociForeignLayerZstd, { compression: 'zstd', nondistributable: true }],
  [MediaType.dockerLayer, { compression: 'none', nondistributable: false }],
  [MediaType.dockerLayerGzip, { compression: 'gzip', nondistributable: false }],
  [MediaType.dockerLayerZstd, { compression: 'zstd', nondistributable: false }],
  [MediaType.dockerForeignLayer, { compression: 'none', nondistributable: true }],
  [MediaType.dockerForeignLayerGzip, { compression: 'gzip', nondistributable: true }],
]);

/** What a media type says of a layer; `undefined` where it names no tar layer. `+encrypted` and `+enc` are seen through. */
export function describeLayerType(mediaType: string): LayerType | undefined {
  const bare = bareMediaType(mediaType);
  const plain = bare.replace(/\+enc(?:rypted)?$/, '');
  const known = LAYER_TYPES.get(plain);
  return known === undefined ? undefined : { ...known, encrypted: plain !== bare };
}

/** How the types of such layers begin, however their tar is packed. */
const FOREIGN = /^application\/vnd\.(?:oci\.image\.layer\.nondistributable|docker\.image\.rootfs\.foreign)\./;

/** Whether a layer is one that must not be handed on: its descriptor says where else it may be had. */
export function isForeignLayer({ mediaType }: { readonly mediaType: string }): boolean {
  return FOREIGN.test(bareMediaType(mediaType));
}

/** The compression that a layer's media type promises; `undefined` where it names no readable tar layer. */
export function layerCompression(mediaType: string): LayerType['compression'] | undefined {
  const type = describeLayerType(mediaType);
  return type === undefined || type.encrypted ? undefined : type.compression;
}
