/** Manifests, indexes, descriptors and layouts: the specification's published cases and their like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIndex } from '../../src/spec/image-index.js';
import { parseImageLayout } from '../../src/spec/image-layout.js';
import { parseManifest } from '../../src/spec/image-manifest.js';
import { MediaType } from '../../src/spec/media-types.js';
import { bytes, CONFIG, D1, D2, ENTRY, INDEX, LAYER, MANIFEST, refused } from '../support/sample-documents.js';

/** What it shows, the descriptor, and the field that is wrong where it is. */
const DESCRIPTORS: readonly (readonly [string, object, string?])[] = [
  ['the least', { mediaType: MediaType.ociManifest, size: 7682, digest: D1 }],
  ['an empty blob', { mediaType: 'application/octet-stream', size: 0, digest: D1 }],
  ['no mediaType', { size: 7682, digest: D1 }, 'mediaType'],
  ['an empty mediaType', { ...CONFIG, mediaType: '' }, 'mediaType'],
  ['no subtype', { ...CONFIG, mediaType: 'application' }, 'mediaType'],
  ['a type that starts wrong', { ...CONFIG, mediaType: '.foo/bar' }, 'mediaType'],
  ['a subtype that starts wrong', { ...CONFIG, mediaType: 'foo/.bar' }, 'mediaType'],
  ['parameters', { ...CONFIG, mediaType: 'application/json; charset=utf-8' }, 'mediaType'],
  ['the longest type', { ...CONFIG, mediaType: `${'1'.repeat(127)}/${'2'.repeat(127)}` }],
  ['a type too long', { ...CONFIG, mediaType: `${'1'.repeat(128)}/bar` }, 'mediaType'],
  ['a subtype too long', { ...CONFIG, mediaType: `foo/${'1'.repeat(128)}` }, 'mediaType'],
  ['no size', { mediaType: MediaType.ociManifest, digest: D1 }, 'size'],
  ['a size that is a string', { ...CONFIG, size: '7682' }, 'size'],
  ['a negative size', { ...CONFIG, size: -7682 }, 'size'],
  ['a size in parts', { ...CONFIG, size: 1.5 }, 'size'],
  ['a size past what can be counted', { ...CONFIG, size: 2 ** 53 }, 'size'],
  ['a size past all', JSON.parse(`{"mediaType":"a/b","digest":"${D1}","size":1e400}`) as object, 'size'],
  ['a size of null', { ...CONFIG, size: null }, 'size'],
  ['no digest', { mediaType: MediaType.ociManifest, size: 7682 }, 'digest'],
  ['a digest without algorithm', { ...CONFIG, digest: D1.slice(6) }, 'digest'],
  ['a digest without hash', { ...CONFIG, digest: 'sha256' }, 'digest'],
  ['an algorithm in upper case', { ...CONFIG, digest: D1.toUpperCase() }, 'digest'],
  ['hex in upper case', { ...CONFIG, digest: `sha256:${'C8'.repeat(32)}` }, 'digest'],
  ['a digest too short', { ...CONFIG, digest: 'sha256:abc' }, 'digest'],
  ['a digest that is a path', { ...CONFIG, digest: 'sha256:../../../etc/passwd' }, 'digest'],
  ['another algorithm', { ...CONFIG, digest: 'sha256+b64:c86f7763873b6c0aae22d963bab59b4f' }],
  ['another algorithm', { ...CONFIG, digest: 'sha256+foo-bar:c86f7763873b6c0aae22d963bab59b4f' }],
  ['another algorithm', { ...CONFIG, digest: 'sha256.foo-bar:c86f7763873b6c0aae22d963bab59b4f' }],
  ['another algorithm', { ...CONFIG, digest: 'multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8' }],
  ['another encoding', { ...CONFIG, digest: 'sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564' }],
  ['padding', { ...CONFIG, digest: 'sha256+b64u.unknownlength:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564=' }],
  ['separators in a row', { ...CONFIG, digest: 'sha256+foo+-b:c86f7763873b6c0aae22d963bab59b4f' }, 'digest'],
  ['a URL', { ...CONFIG, urls: ['https://example.com/foo'] }],
  ['a URL that is none', { ...CONFIG, urls: ['value'] }, 'urls.0'],
  ['URLs that are no list', { ...CONFIG, urls: 'https://example.com/foo' }, 'urls'],
  ['an artifactType', { ...CONFIG, artifactType: MediaType.ociManifest }],
  ['an artifactType that is none', { ...CONFIG, artifactType: 'foo/.bar' }, 'artifactType'],
  ['data', { mediaType: 'text/plain', size: 34, digest: D1, data: 'aHR0cHM6Ly9naXRodWIuY29tL29wZW5jb250YWluZXJzCg==' }],
  ['no data', { ...CONFIG, data: '' }],
  ['data without padding', { ...CONFIG, data: 'aHR0cHM6Ly9naXRodWIuY29tL29wZW5jb250YWluZXJzCg' }, 'data'],
  ['data that is no base64', { ...CONFIG, data: 'a-_=' }, 'data'],
  ['annotations', { ...CONFIG, annotations: { a: 'b', '': '' } }],
  ['annotations that are numbers', { ...CONFIG, annotations: { a: 1 } }, 'annotations'],
  ['annotations that are a list', { ...CONFIG, annotations: ['a'] }, 'annotations'],
  [
    'null where nothing need be',
    { ...CONFIG, urls: null, annotations: null, data: null, artifactType: null, platform: null },
  ],
  ['fields that nobody knows', { ...CONFIG, features: ['sse4'], 'com.example': { deep: [1] } }],
  ['a platform without architecture', { ...CONFIG, platform: { os: 'linux' } }, 'platform.architecture'],
  ['a platform without system', { ...CONFIG, platform: { architecture: 'arm' } }, 'platform.os'],
  ['a platform that is a list', { ...CONFIG, platform: [] }, 'platform'],
  [
    'features that are none',
    { ...CONFIG, platform: { architecture: 'a', os: 'b', 'os.features': [1] } },
    'platform.os.features.0',
  ],
  ['an empty platform', { ...CONFIG, platform: { architecture: '', os: '' } }],
];

test('descriptors: the published cases and their like', () => {
  for (const [what, value, field] of DESCRIPTORS) {
    const manifest = bytes({ ...MANIFEST, config: value });
    if (field === undefined) {
      const expected = Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null));
      assert.deepEqual(parseManifest(manifest).config, expected, what);
    } else {
      const error = refused(() => parseManifest(manifest, { subject: 'it' }), 'ERR_MANIFEST_INVALID', /^it: /);
      assert.equal(error.detail['field'], `config.${field}`, what);
    }
  }
});

/** What it shows, the manifest, and what is said where it is refused. */
const MANIFESTS: readonly (readonly [string, object, RegExp?])[] = [
  ['the least', { schemaVersion: 2, config: CONFIG, layers: [LAYER] }],
  ['optional fields', { ...MANIFEST, annotations: { key1: 'value1', key2: 'value2' } }],
  ['no layers', { ...MANIFEST, layers: [] }],
  ['empty types, as Go writes them', { ...MANIFEST, mediaType: '', artifactType: '' }],
  ['a type that is none', { ...MANIFEST, artifactType: 'x' }, /artifactType .*a media type/],
  ['a subject', { ...MANIFEST, subject: { mediaType: MediaType.ociManifest, size: 1234, digest: D1 } }],
  [
    'an artifact with its own config',
    { ...MANIFEST, config: { ...CONFIG, mediaType: 'application/vnd.example.config+json' } },
  ],
  [
    'an artifact without config',
    { ...MANIFEST, artifactType: 'application/vnd.example+type', config: { ...CONFIG, mediaType: MediaType.ociEmpty } },
  ],
  [
    'a layer of a type nobody knows',
    { ...MANIFEST, layers: [{ ...LAYER, mediaType: 'application/vnd.example.data+type' }] },
  ],
  [
    'Docker 1.10',
    { ...MANIFEST, mediaType: MediaType.dockerManifest, config: { ...CONFIG, mediaType: 'application/octet-stream' } },
  ],
  ['fields that nobody knows', { ...MANIFEST, extra: { deep: true } }],
  [
    'a config type that is none',
    { ...MANIFEST, config: { ...CONFIG, mediaType: 'invalid' } },
    /config\.mediaType .*found "invalid"/,
  ],
  ['a config size that is a string', { ...MANIFEST, config: { ...CONFIG, size: '1470' } }, /config\.size/],
  ['a layer size that is a string', { ...MANIFEST, layers: [LAYER, { ...LAYER, size: '148' }] }, /layers\.1\.size/],
  [
    'a layer with a negative size',
    { ...MANIFEST, layers: [{ ...LAYER, size: -1 }] },
    /layers\.0\.size .*0 or more, found -1/,
  ],
  [
    'a layer without size',
    { ...MANIFEST, layers: [{ mediaType: LAYER.mediaType, digest: D2 }] },
    /layers\.0\.size .*is missing/,
  ],
  ['a layer that is null', { ...MANIFEST, layers: [null] }, /layers\.0/],
  ['a layer that is a list', { ...MANIFEST, layers: [[]] }, /layers\.0/],
  [
    'a layer digest past the grammar',
    { ...MANIFEST, layers: [{ ...LAYER, digest: 'sha256+foo+-b:c86f' }] },
    /layers\.0\.digest/,
  ],
  ['a subject that is none', { ...MANIFEST, subject: '.nope' }, /subject/],
  ['no config', { schemaVersion: 2, mediaType: MediaType.ociManifest, layers: [LAYER] }, /config .*is missing/],
  ['no layers at all', { schemaVersion: 2, mediaType: MediaType.ociManifest, config: CONFIG }, /layers .*is missing/],
  ['layers that are no list', { ...MANIFEST, layers: {} }, /layers/],
  ['no schemaVersion', { mediaType: MediaType.ociManifest, config: CONFIG, layers: [] }, /schemaVersion .*is missing/],
  ['another schemaVersion', { ...MANIFEST, schemaVersion: 3 }, /schemaVersion/],
  ["schema 1's number", { ...MANIFEST, schemaVersion: 1 }, /schemaVersion .*expected 2, found 1/],
  ['a schemaVersion that is a string', { ...MANIFEST, schemaVersion: '2' }, /schemaVersion/],
  ['annotations that are numbers', { ...MANIFEST, annotations: { a: 1 } }, /annotations/],
  ['a mediaType that is a number', { ...MANIFEST, mediaType: 1 }, /mediaType/],
];

test('manifests: the published cases and their like', () => {
  for (const [what, value, message] of MANIFESTS) {
    if (message === undefined) assert.deepEqual(parseManifest(bytes(value)), value, what);
    else refused(() => parseManifest(bytes(value), { subject: 'it' }), 'ERR_MANIFEST_INVALID', message);
  }
  assert.deepEqual(parseManifest(bytes({ ...MANIFEST, layers: null, annotations: null })), { ...MANIFEST, layers: [] });
});

test('types of artifacts and of layers may have parameters, as published artifacts have them; no other type may', () => {
  const type = 'application/vnd.dev.sigstore.bundle+json;version=0.2';
  const manifest = { ...MANIFEST, artifactType: type, layers: [{ ...LAYER, mediaType: type, artifactType: type }] };
  assert.deepEqual(parseManifest(bytes(manifest)), manifest);
  const index = { ...INDEX, artifactType: type, manifests: [{ ...ENTRY, artifactType: type }] };
  assert.deepEqual(parseIndex(bytes(index)), index);
  const spaced = { ...MANIFEST, layers: [{ ...LAYER, mediaType: 'text/plain; charset=utf-8' }] };
  assert.deepEqual(parseManifest(bytes(spaced)), spaced);
  for (const mediaType of [
    'text/plain;',
    'text/plain;a',
    'text/plain;a=',
    'text/plain;a=\n',
    'text/plain;  a=b',
    ';a=b',
  ]) {
    const layers = [{ ...LAYER, mediaType }];
    refused(() => parseManifest(bytes({ ...MANIFEST, layers })), 'ERR_MANIFEST_INVALID', /layers\.0\.mediaType/);
    const artifact = { ...MANIFEST, artifactType: mediaType };
    refused(() => parseManifest(bytes(artifact)), 'ERR_MANIFEST_INVALID', /artifactType/);
  }
  const entry = { ...INDEX, manifests: [{ ...ENTRY, mediaType: `${ENTRY.mediaType};a=b` }] };
  refused(() => parseIndex(bytes(entry)), 'ERR_MANIFEST_INVALID', /manifests\.0\.mediaType/);
});

/** What it shows, the index, and what is said where it is refused. */
const INDEXES: readonly (readonly [string, object, RegExp?])[] = [
  ["schema 1's number", { ...INDEX, schemaVersion: 1 }, /schemaVersion .*expected 2, found 1/],
  ['optional fields', { ...INDEX, annotations: { 'com.example.key1': 'value1' } }],
  ['the least', { schemaVersion: 2, manifests: [{ mediaType: MediaType.ociManifest, size: 7143, digest: D1 }] }],
  ['nothing in it', { ...INDEX, manifests: [] }],
  [
    'an entry of a type nobody knows',
    { ...INDEX, manifests: [{ ...ENTRY, mediaType: 'application/customized.manifest+json' }] },
  ],
  [
    'artifacts',
    {
      ...INDEX,
      artifactType: 'application/vnd.example+type',
      manifests: [{ ...ENTRY, artifactType: 'application/vnd.example1+type' }],
    },
  ],
  ['a subject', { ...INDEX, subject: { mediaType: MediaType.ociManifest, size: 1234, digest: D1 } }],
  ['an index in it', { ...INDEX, manifests: [ENTRY, { mediaType: MediaType.ociIndex, size: 7682, digest: D2 }] }],
  [
    'a manifest list',
    {
      ...INDEX,
      mediaType: MediaType.dockerManifestList,
      manifests: [
        { ...ENTRY, mediaType: MediaType.dockerManifest, platform: { ...ENTRY.platform, features: ['sse4'] } },
      ],
    },
  ],
  [
    'an entry type that is none',
    { ...INDEX, manifests: [{ ...ENTRY, mediaType: 'invalid' }] },
    /manifests\.0\.mediaType/,
  ],
  ['an empty entry type', { ...INDEX, manifests: [{ ...ENTRY, mediaType: '' }] }, /manifests\.0\.mediaType/],
  ['an entry size that is a string', { ...INDEX, manifests: [{ ...ENTRY, size: '7682' }] }, /manifests\.0\.size/],
  [
    'an entry without digest',
    { ...INDEX, manifests: [{ mediaType: MediaType.ociManifest, size: 1 }] },
    /manifests\.0\.digest/,
  ],
  [
    'a platform without architecture',
    { ...INDEX, manifests: [{ ...ENTRY, platform: { os: 'linux' } }] },
    /platform\.architecture .*missing/,
  ],
  ['a subject that is none', { ...INDEX, subject: '.nope' }, /subject/],
  ['no manifests', { schemaVersion: 2, mediaType: MediaType.ociIndex }, /manifests .*is missing/],
];

test('indexes: the published cases and their like', () => {
  for (const [what, value, message] of INDEXES) {
    if (message === undefined) assert.deepEqual(parseIndex(bytes(value)), value, what);
    else refused(() => parseIndex(bytes(value), { subject: 'it' }), 'ERR_MANIFEST_INVALID', message);
  }
  assert.deepEqual(parseIndex(bytes({ ...INDEX, manifests: null })), { ...INDEX, manifests: [] });
});

test('layouts: the published cases and their like', () => {
  assert.deepEqual(parseImageLayout(bytes({ imageLayoutVersion: '1.0.0' })), { imageLayoutVersion: '1.0.0' });
  assert.deepEqual(parseImageLayout(bytes({ imageLayoutVersion: '1.1.0', more: 1 })), {
    imageLayoutVersion: '1.1.0',
    more: 1,
  });
  for (const value of [
    '{"imageLayoutVersion": 1.0.0}',
    {},
    { imageLayoutVersion: '2.0.0' },
    { imageLayoutVersion: '' },
    { imageLayoutVersion: 1 },
    [],
    'null',
    '',
  ]) {
    refused(() => parseImageLayout(bytes(value), { subject: 'dir' }), 'ERR_LAYOUT_INVALID', /^dir: /);
  }
});
