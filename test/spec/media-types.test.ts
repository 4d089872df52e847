/** Media types: what each says of a layer, and what a manifest holds that is no image. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeArtifact, describeArtifactType, isAttestation } from '../../src/spec/artifact.js';
import type { ImageManifest } from '../../src/spec/image-manifest.js';
import {
  bareMediaType,
  describeLayerType,
  isConfigType,
  isForeignLayer,
  isIndexType,
  isManifestType,
  isSchema1Type,
  layerCompression,
  MediaType,
} from '../../src/spec/media-types.js';

test('each media type is one kind of thing', () => {
  const kinds = (type: string): string =>
    [
      isManifestType(type) && 'manifest',
      isIndexType(type) && 'index',
      isSchema1Type(type) && 'schema1',
      isConfigType(type) && 'config',
      describeLayerType(type) !== undefined && 'layer',
    ]
      .filter(Boolean)
      .join();
  for (const [name, type] of Object.entries(MediaType)) {
    const kind = kinds(type);
    const expected = /Layer/.test(name)
      ? 'layer'
      : /Index|List/.test(name)
        ? 'index'
        : /Schema1/.test(name)
          ? 'schema1'
          : /Config/.test(name)
            ? 'config'
            : /Manifest/.test(name)
              ? 'manifest'
              : '';
    assert.equal(kind, expected, name);
  }
  assert.equal(bareMediaType(' Application/JSON ; charset=utf-8'), 'application/json');
});

/** Media type, compression (undefined where unreadable), nondistributable, encrypted. */
const LAYERS: readonly (readonly [string, string | undefined, boolean, boolean])[] = [
  [MediaType.ociLayer, 'none', false, false],
  [MediaType.ociLayerGzip, 'gzip', false, false],
  [MediaType.ociLayerZstd, 'zstd', false, false],
  [MediaType.ociForeignLayer, 'none', true, false],
  [MediaType.ociForeignLayerGzip, 'gzip', true, false],
  [MediaType.ociForeignLayerZstd, 'zstd', true, false],
  [MediaType.dockerLayer, 'none', false, false],
  [MediaType.dockerLayerGzip, 'gzip', false, false],
  [MediaType.dockerLayerZstd, 'zstd', false, false],
  [MediaType.dockerForeignLayer, 'none', true, false],
  [MediaType.dockerForeignLayerGzip, 'gzip', true, false],
  [`${MediaType.ociLayerGzip}+encrypted`, undefined, false, true],
  [`${MediaType.ociLayer}+encrypted`, undefined, false, true],
  [`${MediaType.ociForeignLayerZstd}+encrypted`, undefined, true, true],
  [`${MediaType.dockerLayerGzip}+enc`, undefined, false, true],
];

test('a layer type says compression, distribution and encryption', () => {
  for (const [type, compression, nondistributable, encrypted] of LAYERS) {
    const described = describeLayerType(type);
    assert.equal(described?.nondistributable, nondistributable, type);
    assert.equal(described?.encrypted, encrypted, type);
    assert.equal(layerCompression(type), compression, type);
  }
  for (const type of [
    '',
    'application/json',
    'application/vnd.oci.image.layer.v1.tar+xz',
    MediaType.ociConfig,
    'constructor',
    '+encrypted',
  ]) {
    assert.equal(describeLayerType(type), undefined, type);
    assert.equal(layerCompression(type), undefined, type);
  }
});

test('a layer that must not be handed on is one however it is packed', () => {
  for (const [mediaType, , nondistributable] of LAYERS) {
    assert.equal(isForeignLayer({ mediaType }), nondistributable, mediaType);
  }
  for (const mediaType of [
    'application/vnd.docker.image.rootfs.foreign.diff.tar.zstd',
    'application/vnd.docker.image.rootfs.foreign.diff.tar+gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+xz',
    'Application/vnd.oci.image.layer.Nondistributable.v1.tar; x=y',
  ]) {
    assert.equal(isForeignLayer({ mediaType }), true, mediaType);
  }
  for (const mediaType of [
    '',
    'application/vnd.example.foreign.diff.tar',
    'application/vnd.oci.image.layer.v1.tar+xz',
  ]) {
    assert.equal(isForeignLayer({ mediaType }), false, mediaType);
  }
});

function manifest(config: string, layers: readonly string[], artifactType?: string): ImageManifest {
  const descriptor = (mediaType: string) => ({ mediaType, digest: `sha256:${'0'.repeat(64)}` as const, size: 2 });
  return {
    schemaVersion: 2,
    config: descriptor(config),
    layers: layers.map(descriptor),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

/** Config type, layer types, artifactType, what is said. */
const ARTIFACTS: readonly (readonly [string, readonly string[], string | undefined, string | undefined])[] = [
  [MediaType.ociConfig, [MediaType.ociLayerGzip], undefined, undefined],
  [MediaType.dockerConfig, [MediaType.dockerLayerGzip], undefined, undefined],
  ['application/octet-stream', [MediaType.dockerLayerGzip], undefined, undefined],
  [MediaType.ociConfig, [], undefined, undefined],
  [
    'application/json',
    ['application/vnd.example.data'],
    undefined,
    'an artifact whose config is of type application/json',
  ],
  ['application/json', ['application/wasm'], undefined, 'a WebAssembly module'],
  [MediaType.ociConfig, [`${MediaType.ociLayerGzip}+encrypted`], undefined, undefined],
  [MediaType.ociConfig, ['application/vnd.example.layer'], undefined, undefined],
  [MediaType.ociConfig, [MediaType.ociLayerGzip, 'application/vnd.in-toto+json'], undefined, undefined],
  [MediaType.ociConfig, [MediaType.ociLayerGzip], 'application/vnd.example.app', undefined],
  [MediaType.ociConfig, ['application/vnd.in-toto+json'], undefined, 'an attestation (in-toto)'],
  [MediaType.ociConfig, ['application/vnd.dsse.envelope.v1+json'], undefined, 'a signed attestation (DSSE)'],
  [MediaType.ociConfig, ['application/vnd.dev.cosign.simplesigning.v1+json'], undefined, 'a cosign signature'],
  [MediaType.ociConfig, ['text/spdx+json'], undefined, 'an SBOM (SPDX)'],
  [
    MediaType.dockerConfig,
    ['application/vnd.ollama.image.model', 'application/vnd.ollama.image.license'],
    undefined,
    'an Ollama model',
  ],
  [
    'application/vnd.cncf.helm.config.v1+json',
    ['application/vnd.cncf.helm.chart.content.v1.tar+gzip'],
    undefined,
    'a Helm chart',
  ],
  ['application/vnd.wasm.config.v0+json', ['application/wasm'], undefined, 'a WebAssembly module'],
  ['application/vnd.docker.plugin.v1+json', [MediaType.dockerLayerGzip], undefined, 'a Docker plugin'],
  [
    MediaType.ociEmpty,
    ['application/vnd.dev.sigstore.bundle.v0.3+json'],
    'application/vnd.dev.sigstore.bundle.v0.3+json',
    'a Sigstore bundle (a signature or an attestation)',
  ],
  [
    MediaType.ociEmpty,
    [MediaType.ociEmpty],
    'application/vnd.example+type',
    'an artifact of type application/vnd.example+type',
  ],
  [MediaType.ociEmpty, [MediaType.ociEmpty], undefined, 'an artifact of no stated type, with an empty config'],
  [
    'application/vnd.example.config.v1+json',
    [MediaType.ociLayerGzip],
    undefined,
    'an artifact whose config is of type application/vnd.example.config.v1+json',
  ],
];

test('a manifest that holds no image says what it holds', () => {
  for (const [config, layers, artifactType, expected] of ARTIFACTS) {
    assert.equal(describeArtifact(manifest(config, layers, artifactType)), expected, `${config} ${layers}`);
  }
  assert.equal(describeArtifactType(''), undefined);
});

test('attestations are known by their annotation and by their platform', () => {
  const entry = { mediaType: MediaType.ociManifest, digest: `sha256:${'0'.repeat(64)}` as const, size: 2 };
  const unknown = { os: 'unknown', architecture: 'unknown' };
  assert.equal(isAttestation(entry), false);
  assert.equal(isAttestation({ ...entry, platform: unknown }), true);
  assert.equal(isAttestation({ ...entry, annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }), true);
  assert.equal(isAttestation({ ...entry, annotations: { 'vnd.docker.reference.type': 'other' } }), false);
  assert.equal(isAttestation({ ...entry, platform: { os: 'linux', architecture: 'unknown' } }), false);
  assert.equal(isAttestation({ ...entry, platform: { os: '', architecture: '' } }), false);
});
