/**
 * What a manifest holds when it holds no image: registries keep charts, signatures and modules in the same form. Pure.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage
 */
import { Annotation } from './annotations.js';
import type { Descriptor } from './descriptor.js';
import type { ImageManifest } from './image-manifest.js';
import { describeLayerType, isConfigType, MediaType } from './media-types.js';
import { isUnknownPlatform } from './platform.js';

/** Media types, by what they begin with, and what they are to people. The first that fits counts. */
const KNOWN: readonly (readonly [string, string])[] = [
  ['application/vnd.cncf.helm.', 'a Helm chart'],
  ['application/vnd.dev.cosign.simplesigning.', 'a cosign signature'],
  ['application/vnd.dev.cosign.artifact.sig.', 'a cosign signature'],
  ['application/vnd.dev.cosign.', 'a cosign artifact'],
  ['application/vnd.dev.sigstore.bundle', 'a Sigstore bundle (a signature or an attestation)'],
  ['application/vnd.dsse.envelope.', 'a signed attestation (DSSE)'],
  ['application/vnd.in-toto+json', 'an attestation (in-toto)'],
  ['application/vnd.docker.attestation.manifest.', 'an attestation (BuildKit)'],
  ['application/vnd.cncf.notary.signature', 'a Notation signature'],
  ['application/vnd.wasm.', 'a WebAssembly module'],
  ['application/vnd.module.wasm.', 'a WebAssembly module'],
  ['application/wasm', 'a WebAssembly module'],
  ['application/vnd.bytecodealliance.', 'a WebAssembly module'],
  ['application/vnd.cncf.openpolicyagent.', 'an Open Policy Agent bundle'],
  ['application/vnd.cncf.flux.', 'a Flux artifact'],
  ['application/vnd.cncf.falco.', 'a Falco artifact'],
  ['application/vnd.cncf.model.', 'a machine learning model'],
  ['application/vnd.ollama.image.', 'an Ollama model'],
  ['application/vnd.docker.ai.', 'a machine learning model'],
  ['application/vnd.docker.plugin.', 'a Docker plugin'],
  ['application/vnd.docker.compose.', 'a Compose application'],
  ['application/vnd.buildkit.cacheconfig.', 'a BuildKit cache'],
  ['application/vnd.cnab.', 'a CNAB bundle'],
  ['application/vnd.sylabs.sif.', 'a Singularity image file'],
  ['application/vnd.devcontainers', 'a dev container feature or template'],
  ['application/vnd.amazon.soci.', 'a SOCI index'],
  ['application/vnd.aquasec.trivy.', 'a Trivy database'],
  ['application/vnd.opentofu.', 'an OpenTofu module'],
  ['application/spdx', 'an SBOM (SPDX)'],
  ['text/spdx', 'an SBOM (SPDX)'],
  ['application/vnd.cyclonedx', 'an SBOM (CycloneDX)'],
  ['application/vnd.syft', 'an SBOM (Syft)'],
];

/**
 * Says what a manifest holds if that is no image, for a message: `a Helm chart`. `undefined` for an image.
 *
 * It is an image when its config is an image config, unless no layer is a tar and one of them is known to be
 * something else (signatures and models borrow the image config's type). Layers of unknown types make no artifact:
 * extracting them fails and names them.
 */
export function describeArtifact(manifest: ImageManifest): string | undefined {
  const { artifactType = '', config, layers } = manifest;
  const inLayers = layers.map((layer) => describeArtifactType(layer.mediaType)).find((name) => name !== undefined);
  if (isConfigType(config.mediaType)) {
    if (layers.some((layer) => describeLayerType(layer.mediaType) !== undefined)) return undefined;
    // A generic config type is believed only where a tar lies beside it.
    if (config.mediaType === MediaType.ociConfig || config.mediaType === MediaType.dockerConfig) return inLayers;
  }
  const known = describeArtifactType(artifactType) ?? describeArtifactType(config.mediaType) ?? inLayers;
  if (known !== undefined) return known;
  if (artifactType !== '') return `an artifact of type ${artifactType}`;
  return config.mediaType === MediaType.ociEmpty
    ? 'an artifact of no stated type, with an empty config'
    : `an artifact whose config is of type ${config.mediaType}`;
}

/** Whether an index's entry is an attestation (provenance, SBOM) beside the images, as BuildKit writes them. */
export function isAttestation({ annotations, platform }: Descriptor): boolean {
  if (annotations?.[Annotation.dockerReferenceType] === 'attestation-manifest') return true;
  return platform !== undefined && platform.os === 'unknown' && isUnknownPlatform(platform);
}

/** What a media type is known to be that is no image: `a Helm chart`. `undefined` where it is not in the list. */
export function describeArtifactType(mediaType: string): string | undefined {
  return KNOWN.find(([start]) => mediaType.startsWith(start))?.[1];
}
