/** The keys of annotations and labels that images carry. Pure. */

/** Annotation keys by name. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md */
export const Annotation = {
  created: 'org.opencontainers.image.created',
  authors: 'org.opencontainers.image.authors',
  url: 'org.opencontainers.image.url',
  documentation: 'org.opencontainers.image.documentation',
  source: 'org.opencontainers.image.source',
  version: 'org.opencontainers.image.version',
  revision: 'org.opencontainers.image.revision',
  vendor: 'org.opencontainers.image.vendor',
  licenses: 'org.opencontainers.image.licenses',
  title: 'org.opencontainers.image.title',
  description: 'org.opencontainers.image.description',
  /** The name of a manifest in an OCI layout's `index.json`. */
  refName: 'org.opencontainers.image.ref.name',
  baseName: 'org.opencontainers.image.base.name',
  baseDigest: 'org.opencontainers.image.base.digest',
  /** The full reference of a manifest in an OCI layout, as containerd and Docker write it. */
  containerdImageName: 'io.containerd.image.name',
  /** The architecture in the words of Docker's official images: `arm32v7`. */
  bashbrewArch: 'com.docker.official-images.bashbrew.arch',
  /** What an index's entry is beside an image: `attestation-manifest`. */
  dockerReferenceType: 'vnd.docker.reference.type',
  /** The digest of the image that such an entry speaks of. */
  dockerReferenceDigest: 'vnd.docker.reference.digest',
} as const;
