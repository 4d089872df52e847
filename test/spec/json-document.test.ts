/** Every reader of documents against bytes that are no document, too many, too deep, spiteful or damaged. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RootfsError } from '../../src/errors.js';
import { MAX_HISTORY_ENTRIES, parseImageConfig } from '../../src/spec/image-config.js';
import { parseManifestOrIndex } from '../../src/spec/image-document.js';
import { MAX_INDEX_ENTRIES, parseIndex } from '../../src/spec/image-index.js';
import { parseImageLayout } from '../../src/spec/image-layout.js';
import { MAX_LAYERS, parseManifest } from '../../src/spec/image-manifest.js';
import { MAX_JSON_BYTES } from '../../src/spec/json-document.js';
import { bytes, CONFIG, ENTRY, INDEX, LAYER, MANIFEST, refused } from '../support/sample-documents.js';

const READERS = [
  [parseManifest, 'ERR_MANIFEST_INVALID'],
  [parseIndex, 'ERR_MANIFEST_INVALID'],
  [parseManifestOrIndex, 'ERR_MANIFEST_INVALID'],
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
    for (const text of texts)
      refused(
        () => read(Buffer.from(text)),
        code,
        /is not (JSON|JSON but begins with a byte order mark, which JSON has not|a JSON object); ask/,
      );
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
  for (const [read, code] of READERS) {
    refused(() => read(Buffer.alloc(MAX_JSON_BYTES + 1, 0x20)), 'ERR_LIMIT_EXCEEDED', /4194305 bytes; at most 4194304/);
    refused(() => read(bytes('{"a":1}'), { maxBytes: 6 }), 'ERR_LIMIT_EXCEEDED', /at most 6/);
    refused(() => read(bytes(`{"a":${'['.repeat(64)}${']'.repeat(64)}}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    refused(() => read(bytes(`{"a":${'['.repeat(1_000_000)}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    refused(() => read(bytes(`{"a":${'{"a":'.repeat(100)}1${'}'.repeat(101)}`)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    for (const string of ['""', String.raw`"\\"`, String.raw`"\\\\"`, String.raw`"\""`, String.raw`"\\\""`]) {
      const text = `{"a":[${string},${'['.repeat(63)}${string}${']'.repeat(63)}]}`;
      refused(() => read(bytes(text)), 'ERR_LIMIT_EXCEEDED', /64 levels/);
    }
    refused(() => read(bytes(`{"a":"${'['.repeat(1_000)}`)), code, /is not JSON/);
  }
  const deep = JSON.parse(`${'['.repeat(63)}${']'.repeat(63)}`) as unknown;
  assert.deepEqual(parseManifest(bytes({ ...MANIFEST, deep })), { ...MANIFEST, deep });
  const text = `${'[{'.repeat(100)}\\"${'[{'.repeat(100)}`;
  assert.equal(parseManifest(bytes({ ...MANIFEST, annotations: { text } })).annotations?.['text'], text);
  const layers = (count: number): Uint8Array => bytes({ ...MANIFEST, layers: Array(count).fill(LAYER) });
  assert.equal(parseManifest(layers(MAX_LAYERS)).layers.length, MAX_LAYERS);
  refused(
    () => parseManifest(layers(MAX_LAYERS + 1)),
    'ERR_LIMIT_EXCEEDED',
    /layers has 1001 entries; at most 1000 are read, and no/,
  );
  const rootfs = { type: 'layers', diff_ids: [] };
  const steps = (count: number): Uint8Array =>
    bytes({ architecture: 'a', os: 'b', rootfs, history: Array(count).fill({}) });
  assert.equal(parseImageConfig(steps(MAX_HISTORY_ENTRIES)).history?.length, MAX_HISTORY_ENTRIES);
  refused(() => parseImageConfig(steps(MAX_HISTORY_ENTRIES + 1)), 'ERR_LIMIT_EXCEEDED', /history has 10001 entries/);
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
