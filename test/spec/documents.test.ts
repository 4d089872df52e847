/** Manifests, indexes, descriptors and layouts: the specification's published cases, and what must not get in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ErrorCode, RootfsError } from '../../src/errors.js';
import { parseDescriptor } from '../../src/spec/descriptor.js';
import { parseImageConfig } from '../../src/spec/image-config.js';
import { parseManifestOrIndex } from '../../src/spec/image-document.js';
import { MAX_INDEX_ENTRIES, parseIndex } from '../../src/spec/image-index.js';
import { parseImageLayout } from '../../src/spec/image-layout.js';
import { MAX_LAYERS, parseManifest } from '../../src/spec/image-manifest.js';
import { MAX_JSON_BYTES } from '../../src/spec/json-document.js';
import { MediaType } from '../../src/spec/media-types.js';

const D1 = `sha256:${'c8'.repeat(32)}`;
const D2 = `sha256:${'9d'.repeat(32)}`;
const CONFIG = { mediaType: MediaType.ociConfig, size: 1470, digest: D1 };
const LAYER = { mediaType: MediaType.ociLayerGzip, size: 148, digest: D2 };
const MANIFEST = { schemaVersion: 2, mediaType: MediaType.ociManifest, config: CONFIG, layers: [LAYER] };
const ENTRY = {
  mediaType: MediaType.ociManifest,
  size: 7143,
  digest: D1,
  platform: { architecture: 'ppc64le', os: 'linux' },
};
const INDEX = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: [ENTRY] };

const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

function refused(act: () => unknown, code: ErrorCode, message: RegExp = /./): RootfsError {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof RootfsError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return error;
  }
  return assert.fail(`accepted; expected ${code} ${message}`);
}

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
    if (field === undefined) {
      const expected = Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null));
      assert.deepEqual(parseDescriptor(bytes(value)), expected, what);
    } else {
      const error = refused(() => parseDescriptor(bytes(value), { subject: 'it' }), 'ERR_MANIFEST_INVALID', /^it: /);
      assert.equal(error.detail['field'], field, what);
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

/** What it shows, the index, and what is said where it is refused. */
const INDEXES: readonly (readonly [string, object, RegExp?])[] = [
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

test('what a document says, what it was announced as and what it holds must agree', () => {
  const say = (value: object, mediaType?: string): 'manifest' | 'index' =>
    parseManifestOrIndex(bytes(value), { mediaType }).kind;
  const { mediaType: _, ...untyped } = MANIFEST;
  const { mediaType: __, ...untypedIndex } = INDEX;
  assert.equal(say(untyped), 'manifest');
  assert.equal(say(untypedIndex), 'index');
  for (const type of [undefined, '', 'application/json', 'text/plain; charset=utf-8', 'application/octet-stream']) {
    assert.equal(say(MANIFEST, type), 'manifest');
    assert.equal(say(INDEX, type), 'index');
  }
  assert.equal(say(MANIFEST, `${MediaType.ociManifest}; charset=utf-8`), 'manifest');
  assert.equal(say(MANIFEST, MediaType.ociManifest.toUpperCase()), 'manifest');
  assert.equal(say(untyped, MediaType.ociManifest), 'manifest');
  assert.equal(say(untyped, MediaType.dockerManifest), 'manifest');
  assert.equal(say(untypedIndex, MediaType.dockerManifestList), 'index');
  assert.equal(say({ schemaVersion: 2, manifests: null }), 'index', 'an empty list of manifests is one too');
});

/** What it shows, the document, how it was announced, the code, what is said. */
const DISAGREE: readonly (readonly [string, object, string | undefined, ErrorCode, RegExp])[] = [
  ['both at once', { ...MANIFEST, manifests: [ENTRY] }, undefined, 'ERR_MANIFEST_INVALID', /at once/],
  ['both at once, one of them null', { ...MANIFEST, manifests: null }, undefined, 'ERR_MANIFEST_INVALID', /at once/],
  ['both at once, called index', { ...INDEX, layers: [] }, MediaType.ociIndex, 'ERR_MANIFEST_INVALID', /at once/],
  ['a config in an index', { ...INDEX, config: CONFIG }, undefined, 'ERR_MANIFEST_INVALID', /at once/],
  [
    'announced as the other',
    MANIFEST,
    MediaType.ociIndex,
    'ERR_MANIFEST_INVALID',
    /announced as application\/vnd\.oci\.image\.index/,
  ],
  ["announced as Docker's", MANIFEST, MediaType.dockerManifest, 'ERR_MANIFEST_INVALID', /announced as/],
  ['announced as schema 1', MANIFEST, MediaType.dockerSchema1Signed, 'ERR_MANIFEST_INVALID', /announced as/],
  [
    'an index that calls itself manifest',
    { ...INDEX, mediaType: MediaType.ociManifest },
    undefined,
    'ERR_MANIFEST_INVALID',
    /holds an index/,
  ],
  [
    'a manifest that calls itself index',
    { ...MANIFEST, mediaType: MediaType.ociIndex },
    undefined,
    'ERR_MANIFEST_INVALID',
    /holds a manifest/,
  ],
  [
    'an untyped index announced as manifest',
    { schemaVersion: 2, manifests: [] },
    MediaType.ociManifest,
    'ERR_MANIFEST_INVALID',
    /holds an index/,
  ],
  ['neither', { schemaVersion: 2 }, undefined, 'ERR_MANIFEST_INVALID', /neither/],
  ['nothing', {}, 'application/json', 'ERR_MANIFEST_INVALID', /neither/],
  ['schema 1 and 2', { ...MANIFEST, fsLayers: [] }, undefined, 'ERR_MANIFEST_INVALID', /schema 1 and of schema 2/],
  [
    'schema 1',
    { schemaVersion: 1, name: 'x', tag: 'y', architecture: 'amd64', fsLayers: [{ blobSum: D1 }], history: [] },
    MediaType.dockerSchema1Signed,
    'ERR_SCHEMA1_UNSUPPORTED',
    /rebuild or re-push/,
  ],
  [
    'schema 1 unannounced',
    { schemaVersion: 1, fsLayers: [] },
    'application/json',
    'ERR_SCHEMA1_UNSUPPORTED',
    /schema 1/,
  ],
  [
    'schema 1 by its type',
    { schemaVersion: 2, mediaType: MediaType.dockerSchema1 },
    undefined,
    'ERR_SCHEMA1_UNSUPPORTED',
    /schema 1/,
  ],
  [
    'an OCI artifact',
    { mediaType: 'application/vnd.oci.artifact.manifest.v1+json', blobs: [] },
    undefined,
    'ERR_NOT_AN_IMAGE',
    /an OCI artifact/,
  ],
  [
    'some other document',
    { schemaVersion: 2, mediaType: 'application/vnd.example+json', config: CONFIG, layers: [] },
    undefined,
    'ERR_NOT_AN_IMAGE',
    /a document of type application\/vnd\.example\+json/,
  ],
];

test('CVE-2021-41190: a document that can be read in two ways is not read at all', () => {
  for (const [what, value, mediaType, code, message] of DISAGREE) {
    for (const read of [parseManifestOrIndex, parseManifest, parseIndex]) {
      const error = refused(() => read(bytes(value), { mediaType, subject: what }), code, message);
      assert.ok(error.message.startsWith(`${what}: `), error.message);
    }
  }
  refused(() => parseManifest(bytes(INDEX)), 'ERR_MANIFEST_INVALID', /an index, where an image manifest/);
  refused(
    () => parseIndex(bytes(MANIFEST)),
    'ERR_MANIFEST_INVALID',
    /a manifest, where an index|an image manifest, where/,
  );
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

const READERS = [
  [parseManifest, 'ERR_MANIFEST_INVALID'],
  [parseIndex, 'ERR_MANIFEST_INVALID'],
  [parseManifestOrIndex, 'ERR_MANIFEST_INVALID'],
  [parseDescriptor, 'ERR_MANIFEST_INVALID'],
  [parseImageConfig, 'ERR_CONFIG_INVALID'],
  [parseImageLayout, 'ERR_LAYOUT_INVALID'],
] as const;

test('what is no JSON object in UTF-8 is refused by every reader', () => {
  const texts = [
    '',
    ' ',
    '{',
    '{"a":1',
    '[]',
    '"x"',
    'null',
    '1',
    'true',
    '{} {}',
    "{'a':1}",
    '\ufeff{}',
    '<html>',
    '{"a":1,}',
    'NaN',
  ];
  for (const [read, code] of READERS) {
    for (const text of texts) refused(() => read(Buffer.from(text)), code, /is not (JSON|a JSON object); ask/);
    for (const raw of [
      [0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d],
      [0xc3, 0x28],
      [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d],
    ]) {
      refused(() => read(Uint8Array.from(raw)), code, /is not UTF-8/);
    }
  }
});

test('documents are bounded in bytes, depth and entries', () => {
  for (const [read] of READERS) {
    refused(() => read(Buffer.alloc(MAX_JSON_BYTES + 1, 0x20)), 'ERR_LIMIT_EXCEEDED', /4194305 bytes; at most 4194304/);
    refused(() => read(bytes('{"a":1}'), { maxBytes: 6 }), 'ERR_LIMIT_EXCEEDED', /at most 6/);
    refused(() => read(bytes(`{"a":${'['.repeat(64)}${']'.repeat(64)}}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    refused(() => read(bytes(`{"a":${'['.repeat(1_000_000)}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    refused(() => read(bytes(`{"a":${'{"a":'.repeat(100)}1${'}'.repeat(101)}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
  }
  const deep = JSON.parse(`${'['.repeat(63)}${']'.repeat(63)}`) as unknown;
  assert.deepEqual(parseManifest(bytes({ ...MANIFEST, deep })), { ...MANIFEST, deep });
  const text = `${'[{'.repeat(100)}\\"${'[{'.repeat(100)}`;
  assert.equal(parseManifest(bytes({ ...MANIFEST, annotations: { text } })).annotations?.['text'], text);
  const layers = (count: number): Uint8Array => bytes({ ...MANIFEST, layers: Array(count).fill(LAYER) });
  assert.equal(parseManifest(layers(MAX_LAYERS)).layers.length, MAX_LAYERS);
  refused(() => parseManifest(layers(MAX_LAYERS + 1)), 'ERR_LIMIT_EXCEEDED', /layers has 1001 entries; at most 1000/);
  const least = { mediaType: 'a/b', digest: 'a:b', size: 1 };
  const entries = (count: number): Uint8Array => bytes({ schemaVersion: 2, manifests: Array(count).fill(least) });
  assert.equal(parseIndex(entries(MAX_INDEX_ENTRIES)).manifests.length, MAX_INDEX_ENTRIES);
  refused(() => parseIndex(entries(MAX_INDEX_ENTRIES + 1)), 'ERR_LIMIT_EXCEEDED', /manifests has 20001 entries/);
});

test('keys that mean something to JavaScript mean nothing here, and of equal keys the last counts', () => {
  const spite = `"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}`;
  const text = JSON.stringify(MANIFEST);
  const manifest = parseManifest(
    bytes(`{${spite},${text.slice(1, -1)},"annotations":{"__proto__":"x","constructor":"kept","toString":"kept"}}`),
  );
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.equal((manifest as unknown as Record<string, unknown>)['polluted'], undefined);
  assert.equal(Object.getPrototypeOf(manifest), Object.prototype);
  assert.deepEqual(Object.entries(manifest.annotations ?? {}), [
    ['constructor', 'kept'],
    ['toString', 'kept'],
  ]);
  const inherited = JSON.stringify({ ...MANIFEST, config: undefined }).replace(
    '{',
    `{"__proto__":{"config":${JSON.stringify(CONFIG)}},`,
  );
  refused(() => parseManifest(bytes(inherited)), 'ERR_MANIFEST_INVALID', /config .*is missing/);
  const twice = bytes(`{"layers":[],${text.slice(1)}`);
  assert.equal(parseManifest(twice).layers.length, 1);
  const hidden = bytes(`{"manifests":[],${text.slice(1, -1)},"manifests":[]}`);
  refused(() => parseManifest(hidden), 'ERR_MANIFEST_INVALID', /at once/);
});

test('a document damaged in any way is read, or refused with a code', () => {
  const documents = [
    MANIFEST,
    INDEX,
    { ...INDEX, manifests: [ENTRY, { ...ENTRY, data: 'e30=', urls: ['https://a.example/'] }] },
  ];
  const junk = fc.constantFrom<unknown>(null, -1, 0.5, 1e300, '', 'x', [], {}, [null], { a: null }, true, '__proto__');
  let read = 0;
  let refusals = 0;
  const attempt = (raw: Uint8Array): void => {
    for (const [parse] of READERS) {
      try {
        parse(raw);
        read++;
      } catch (error) {
        assert.ok(error instanceof RootfsError, String(error));
        assert.match(
          error.code,
          /^ERR_(?:MANIFEST|CONFIG|LAYOUT)_INVALID$|^ERR_LIMIT_EXCEEDED$|^ERR_SCHEMA1_UNSUPPORTED$|^ERR_NOT_AN_IMAGE$/,
        );
        refusals++;
      }
    }
  };
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.nat(), junk, (document, at, value) => {
      const copy = JSON.parse(JSON.stringify(document)) as unknown;
      const places: [Record<string, unknown>, string][] = [];
      const walk = (node: unknown): void => {
        if (typeof node !== 'object' || node === null) return;
        for (const key of Object.keys(node)) {
          places.push([node as Record<string, unknown>, key]);
          walk((node as Record<string, unknown>)[key]);
        }
      };
      walk(copy);
      const [node, key] = places[at % places.length] as [Record<string, unknown>, string];
      node[key] = value;
      attempt(bytes(copy));
    }),
    { numRuns: 1000, seed: 20260103 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.nat(), fc.integer({ min: 0, max: 255 }), (document, at, byte) => {
      const raw = Buffer.from(bytes(document));
      raw[at % raw.length] = byte;
      attempt(raw);
      attempt(raw.subarray(0, at % raw.length));
    }),
    { numRuns: 1000, seed: 20260104 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (raw) => attempt(raw)),
    { numRuns: 500, seed: 20260105 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => attempt(Buffer.from(text))),
    { numRuns: 500, seed: 20260106 },
  );
  assert.ok(read > 100 && refusals > 1000, `${read} read, ${refusals} refused`);
});
