/**
 * The table of faults through the main job: an image by tag through an index, its layers extracted into a store. Data
 * only; `fault-table.test.ts` runs it, and docs/faults.md says it to people.
 */
import { gzipSync } from 'node:zlib';
import { MAX_DOCUMENT_BYTES } from '../../src/io/limit.js';
import type { Credential } from '../../src/registry/credentials.js';
import type { RegistryOptions } from '../../src/registry/registry-options.js';
import {
  digestOf,
  type Fault,
  image,
  index,
  SeededRandom,
  type RegistryOptions as TestOptions,
} from '../../src/testing/testing.js';
import { ON_THE_WAY } from './on-the-way.js';

const noise = new SeededRandom(3).bytes(1_200_000);

/** The image that is pulled: a layer of 1.2 MB, which is spooled to disk, and a small one. */
export const app = image()
  .layer((layer) => layer.file('noise', noise), { compression: 'none' })
  .layer((layer) => layer.file('small', 'y'.repeat(5_000)))
  .build();
/** What the tag points at. */
export const appIndex = index()
  .add(app, { platform: { os: 'linux', architecture: 'amd64' } })
  .build();

const [first] = app.layers;
if (first === undefined) throw new Error('the image has no layer');
/** Its larger layer. */
export const big = first;
/** Bytes of the larger layer. */
export const size = big.descriptor.size;
/** Requests of an undisturbed pull: index, manifest, config, two layers. */
export const PULL = 5;

/** A password that must be told to nobody else. */
export const SECRET = 'hunter2-Geheim';

/** One line of the table. */
export interface FaultLine {
  /** What goes wrong, for people. */
  readonly name: string;
  readonly faults?: readonly Fault[] | undefined;
  readonly server?: TestOptions | undefined;
  readonly client?: RegistryOptions | undefined;
  readonly credential?: Credential | undefined;
  /** `whole`: it ends well. Else the code. */
  readonly ends: string;
  /** The most requests to all origins together; `PULL` unless told. */
  readonly requests?: number | undefined;
  /** The most bytes of bodies; the layers and 10 % unless told. */
  readonly bytes?: number | undefined;
  /** Bytes of the larger layer that stay for a later run; none unless told. */
  readonly keeps?: number | undefined;
  /** Bytes that an earlier run left. */
  readonly partial?: Uint8Array | undefined;
  readonly message?: RegExp | undefined;
  /** What stands in docs/faults.md beside `ends`. */
  readonly note?: string | undefined;
}

/** A part of the table. */
export interface FaultGroup {
  readonly title: string;
  readonly lines: readonly FaultLine[];
}

type BlobFault = Fault extends infer F ? (F extends Fault ? Omit<F, 'on' | 'reference'> : never) : never;

/** Faults of the larger layer, at the registry and where it redirects to. */
function layer(...faults: readonly BlobFault[]): Fault[] {
  return faults.map((fault) => ({ on: ['blob', 'storage'], reference: big.descriptor.digest, ...fault }) as Fault);
}

/** A fault of the document that `name` names. */
const AT = { index: 'latest', manifest: app.descriptor.digest } as const;
function document(name: keyof typeof AT, fault: BlobFault): Fault[] {
  return [{ on: 'manifest', reference: AT[name], ...fault } as Fault];
}

const user: Credential = { username: 'user', password: SECRET };
const users = { user: SECRET };
const half = big.blob.subarray(0, 600_000);

const CONNECTIONS: readonly FaultLine[] = [
  { name: 'nothing', ends: 'whole' },
  ...(['index', 'manifest'] as const).flatMap((name): FaultLine[] => [
    {
      name: `the ${name}'s connection ends without an answer, once`,
      faults: document(name, { do: 'hang-up', times: 1 }),
      ends: 'whole',
      requests: PULL + 1,
    },
    {
      name: `the ${name}'s connection ends without an answer, always`,
      faults: document(name, { do: 'hang-up' }),
      ends: 'ERR_NETWORK',
    },
    { name: `the ${name} is never answered`, faults: document(name, { do: 'silence' }), ends: 'ERR_TIMEOUT' },
  ]),
  {
    name: 'the config is cut in the middle, once',
    faults: [{ on: 'blob', reference: app.manifest.config.digest, times: 1, do: 'cut', after: 50 }],
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: "a layer's connection ends without an answer, twice",
    faults: layer({ do: 'hang-up', times: 2 }),
    ends: 'whole',
    requests: PULL + 2,
  },
  {
    name: "a layer's connection ends without an answer, always",
    faults: layer({ do: 'hang-up' }),
    ends: 'ERR_NETWORK',
    requests: PULL + 2,
  },
  {
    name: 'a layer is cut in the middle, once',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
    note: 'goes on from there',
  },
  {
    name: 'a layer is cut every 64 KiB',
    faults: layer({ do: 'cut', after: 65_536 }),
    ends: 'whole',
    requests: PULL + 19,
    bytes: size * 1.05,
    note: 'each part comes once',
  },
  {
    name: 'every connection is cut after 64 KiB',
    faults: [{ on: 'any', do: 'cut', after: 65_536, per: 'connection' }],
    ends: 'whole',
    requests: PULL + 24,
    bytes: size * 1.05,
    note: 'each part comes once',
  },
  {
    name: 'a layer is cut before its first byte, always',
    faults: layer({ do: 'cut', after: 0 }),
    ends: 'ERR_NETWORK',
    requests: PULL + 2,
  },
  {
    name: 'a layer is cut in the middle, and nothing comes after that',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'hang-up', nth: 2 }),
    ends: 'ERR_NETWORK',
    requests: PULL + 3,
    keeps: 600_000,
  },
  {
    name: 'a layer is cut in the middle, and the registry is silent after that',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'silence', nth: 2 }),
    ends: 'ERR_TIMEOUT',
    requests: PULL + 3,
    keeps: 600_000,
  },
  {
    name: 'a layer stalls in the middle, once',
    faults: layer({ do: 'stall', after: 600_000, times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'a layer stalls before its first byte, always',
    faults: layer({ do: 'stall', after: 0 }),
    ends: 'ERR_TIMEOUT',
    requests: PULL + 2,
  },
  {
    name: 'a layer comes slowly but moves',
    faults: layer({ do: 'drip', everyMs: 20, bytes: 65_536 }),
    ends: 'whole',
    note: 'there is no limit in total',
  },
  {
    name: 'a layer comes byte by byte, each on a connection of its own',
    faults: layer({ do: 'cut', after: 1 }),
    ends: 'ERR_NETWORK',
    requests: PULL + 2,
    keeps: 3,
    note: 'that is no progress',
  },
  {
    name: 'the index drips',
    client: { timeoutMs: 100 },
    faults: document('index', { do: 'drip', everyMs: 50 }),
    ends: 'ERR_TIMEOUT',
    note: 'a document has ten times the longest silence in all',
  },
  {
    name: 'the config drips',
    client: { timeoutMs: 100 },
    faults: [{ on: 'blob', reference: app.manifest.config.digest, do: 'drip', everyMs: 50 }],
    ends: 'ERR_TIMEOUT',
    note: 'it is a document too',
  },
  {
    name: 'every connection is slow',
    faults: [{ on: 'any', do: 'slow', bytesPerSecond: 4_000_000 }],
    ends: 'whole',
  },
  { name: 'every answer comes late', faults: [{ on: 'any', do: 'latency', ms: 40 }], ends: 'whole' },
];

const BODIES: readonly FaultLine[] = [
  { name: 'one bit of a layer is wrong', faults: layer({ do: 'flip' }), ends: 'ERR_DIGEST_MISMATCH' },
  { name: 'a layer is too short, and says so', faults: layer({ do: 'short', by: 100 }), ends: 'ERR_DIGEST_MISMATCH' },
  {
    name: 'a layer ends early and had promised more, once',
    faults: layer({ do: 'short', by: 100, declared: 'original', times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'a layer ends early without a length, once',
    faults: layer({ do: 'short', by: 100, declared: 'none', times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
  },
  { name: 'a layer is one byte too long', faults: layer({ do: 'long', by: 1 }), ends: 'ERR_SIZE_MISMATCH' },
  {
    name: 'a layer never ends',
    faults: layer({ do: 'endless' }),
    ends: 'ERR_SIZE_MISMATCH',
    bytes: size + ON_THE_WAY,
    note: 'cut one byte past its size',
  },
  {
    name: 'a layer comes without a length',
    faults: layer({ do: 'headers', remove: ['content-length'] }),
    ends: 'whole',
  },
  {
    name: 'a layer is labelled with Content-Encoding: gzip',
    faults: layer({ do: 'headers', set: { 'content-encoding': 'gzip' } }),
    ends: 'whole',
  },
  {
    name: 'a layer comes compressed, unasked, with its length',
    faults: layer({
      do: 'answer',
      status: 200,
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync(big.blob),
    }),
    ends: 'whole',
    note: 'that undone, it is the blob',
  },
  {
    name: 'a layer comes compressed, unasked, without a length',
    faults: [
      layer({ do: 'answer', status: 200, headers: { 'content-encoding': 'gzip' }, body: gzipSync(big.blob) }),
      layer({ do: 'headers', remove: ['content-length'] }),
    ].flat(),
    ends: 'whole',
    note: 'its first bytes tell it from a wrong label',
  },
  {
    name: 'a layer is labelled with Content-Encoding: gzip, and has no length',
    faults: layer({ do: 'headers', set: { 'content-encoding': 'gzip' }, remove: ['content-length'] }),
    ends: 'whole',
  },
  { name: 'a layer is a web page', faults: layer({ do: 'html' }), ends: 'ERR_DIGEST_MISMATCH' },
  {
    name: 'the index comes compressed, unasked',
    faults: document('index', {
      do: 'answer',
      status: 200,
      headers: { 'content-type': appIndex.descriptor.mediaType, 'content-encoding': 'gzip' },
      body: gzipSync(appIndex.blobs.get(appIndex.descriptor.digest) ?? ''),
    }),
    ends: 'whole',
    note: 'a proxy does that',
  },
  {
    name: 'the config comes compressed, unasked',
    faults: [
      {
        on: 'blob',
        reference: app.manifest.config.digest,
        do: 'answer',
        status: 200,
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync(app.blobs.get(app.manifest.config.digest) ?? ''),
      },
    ],
    ends: 'whole',
  },
  {
    name: 'one bit of the config is wrong',
    faults: [{ on: 'blob', reference: app.manifest.config.digest, do: 'flip' }],
    ends: 'ERR_DIGEST_MISMATCH',
  },
  {
    name: 'the manifest is a web page',
    faults: document('manifest', { do: 'html' }),
    ends: 'ERR_REGISTRY',
    message: /web page/,
  },
  {
    name: 'one bit of the manifest is wrong',
    faults: document('manifest', { do: 'flip' }),
    ends: 'ERR_DIGEST_MISMATCH',
  },
  {
    name: 'the index is a Docker schema 1 manifest',
    faults: document('index', { do: 'schema1' }),
    ends: 'ERR_SCHEMA1_UNSUPPORTED',
  },
  {
    name: 'the index never ends',
    faults: document('index', { do: 'endless' }),
    ends: 'ERR_LIMIT_EXCEEDED',
    bytes: MAX_DOCUMENT_BYTES + ON_THE_WAY,
  },
  {
    name: "the index's Docker-Content-Digest is another one",
    faults: document('index', { do: 'headers', set: { 'docker-content-digest': digestOf(Buffer.from('x')) } }),
    ends: 'whole',
    note: 'computed from the bytes',
  },
  {
    name: 'there is no Docker-Content-Digest',
    faults: [{ on: 'manifest', do: 'headers', remove: ['docker-content-digest'] }],
    ends: 'whole',
  },
  {
    name: 'the index is labelled as a manifest',
    faults: document('index', { do: 'headers', set: { 'content-type': app.descriptor.mediaType } }),
    ends: 'ERR_MANIFEST_INVALID',
  },
  {
    name: 'manifests have no media type in their header',
    faults: [{ on: 'manifest', do: 'headers', remove: ['content-type'] }],
    ends: 'whole',
  },
];

const RANGES: readonly FaultLine[] = [
  {
    name: 'a layer is cut, and Range is ignored',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'ignored' }),
    ends: 'whole',
    requests: PULL + 1,
    bytes: size + 610_000,
    note: 'what is known already is read past',
  },
  {
    name: 'a layer is cut, and other bytes than asked come',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'wrong-bytes' }),
    ends: 'ERR_DIGEST_MISMATCH',
    requests: PULL + 1,
  },
  {
    name: 'a layer is cut, and another range comes, which is told',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'shifted', times: 1 }),
    ends: 'whole',
    requests: PULL + 2,
    bytes: size + 610_000,
  },
  {
    name: 'a layer is cut, and the range has no Content-Range, always',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'no-header' }),
    ends: 'whole',
    requests: PULL + 3,
    bytes: size * 4,
    note: 'fetched again without Range',
  },
  {
    name: 'a layer is cut, and another range comes, always',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'shifted' }),
    ends: 'whole',
    requests: PULL + 3,
    bytes: size * 4,
    note: 'fetched again without Range',
  },
  {
    name: 'a layer is cut, and a range is a bad request (400)',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'answer', status: 400, nth: 2, times: 1 }),
    ends: 'whole',
    requests: PULL + 2,
    bytes: size + 610_000,
    note: 'fetched again without Range',
  },
  {
    name: 'a layer is cut, and the rest comes with an unknown total',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'unknown-total' }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'a layer is cut, and Range is refused (416)',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'range', as: 'refused' }),
    ends: 'whole',
    requests: PULL + 2,
    bytes: size + 610_000,
    note: 'fetched again without Range',
  },
  {
    name: 'a layer is cut, and the rest is not there (404), once',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'answer', status: 404, nth: 2, times: 1 }),
    ends: 'whole',
    requests: PULL + 2,
    bytes: size + 610_000,
    note: 'fetched again without Range',
  },
  { name: 'an earlier run left the first half of a layer', partial: half, ends: 'whole', bytes: size - 590_000 },
  {
    name: 'an earlier run left wrong bytes',
    partial: Buffer.alloc(600_000, 1),
    ends: 'whole',
    requests: PULL + 1,
    bytes: size + 620_000,
    note: 'fetched again from the first byte',
  },
  {
    name: 'an earlier run left half, and Range is refused (416)',
    partial: half,
    faults: layer({ do: 'range', as: 'refused' }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'an earlier run left half, and Range is ignored',
    partial: half,
    faults: layer({ do: 'range', as: 'ignored' }),
    ends: 'whole',
  },
  {
    name: 'an earlier run left more than the layer has',
    partial: Buffer.concat([big.blob, Buffer.from('more')]),
    ends: 'whole',
  },
  {
    name: 'an earlier run left all of it',
    partial: big.blob,
    ends: 'whole',
    requests: PULL - 1,
    bytes: 20_000,
  },
];

const REFUSALS: readonly FaultLine[] = [
  ...([429, 500, 502, 503, 504] as const).flatMap((status): FaultLine[] => [
    {
      name: `a layer is answered with ${status}, once`,
      faults: layer({ do: 'answer', status, times: 1 }),
      ends: 'whole',
      requests: PULL + 1,
    },
    {
      name: `a layer is answered with ${status}, always`,
      faults: layer({ do: 'answer', status }),
      ends: status === 429 ? 'ERR_RATE_LIMITED' : 'ERR_REGISTRY',
      requests: PULL + 2,
    },
  ]),
  ...([499, 520, 599] as const).map(
    (status): FaultLine => ({
      name: `a layer is answered with ${status}, once`,
      faults: layer({ do: 'answer', status, times: 1 }),
      ends: 'whole',
      requests: PULL + 1,
      note: "a proxy's own status",
    }),
  ),
  { name: 'a layer is not there (404)', faults: layer({ do: 'answer', status: 404 }), ends: 'ERR_NOT_FOUND' },
  {
    name: 'a layer is denied (403)',
    faults: layer({ do: 'answer', status: 403 }),
    ends: 'ERR_DENIED',
    requests: PULL + 1,
  },
  {
    name: 'the tag is not there (404)',
    faults: document('index', { do: 'answer', status: 404 }),
    ends: 'ERR_NOT_FOUND',
  },
  {
    name: 'Retry-After in seconds, once',
    faults: layer({ do: 'retry-later', seconds: 1, times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
    note: 'waited for',
  },
  {
    name: 'Retry-After as a date, once',
    faults: layer({ do: 'retry-later', seconds: 1, date: true, times: 1 }),
    ends: 'whole',
    requests: PULL + 1,
    note: 'waited for',
  },
  {
    name: 'Retry-After again and again, together beyond the cap',
    faults: layer({ do: 'retry-later', seconds: 1 }),
    ends: 'ERR_RATE_LIMITED',
    requests: PULL + 1,
  },
  {
    name: 'Retry-After of a day',
    faults: layer({ do: 'retry-later', seconds: 86_400 }),
    ends: 'ERR_RATE_LIMITED',
    message: /come back in 86400 s, at \d{4}-\d\d-\d\dT/,
    note: 'the error says when to come back',
  },
  {
    name: 'a layer is cut, and then Retry-After of a day',
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'retry-later', seconds: 86_400, nth: 2 }),
    ends: 'ERR_RATE_LIMITED',
    requests: PULL + 1,
    keeps: 600_000,
    note: 'the error says when to come back',
  },
];

const REDIRECTS: readonly FaultLine[] = [
  ...([301, 302, 303, 307, 308] as const).map(
    (status): FaultLine => ({
      name: `layers are redirected (${status}) to another origin that refuses Authorization`,
      server: { auth: { kind: 'bearer', users } },
      credential: user,
      faults: [{ on: 'blob', do: 'redirect', status }],
      ends: 'whole',
      requests: PULL + 5,
      note: 'the token stays at home',
    }),
  ),
  {
    name: 'a redirected layer is cut in the middle',
    server: { auth: { kind: 'bearer', users } },
    credential: user,
    faults: [
      { on: 'blob', do: 'redirect' },
      { on: 'storage', reference: big.descriptor.digest, do: 'cut', after: 600_000, times: 1 },
    ],
    ends: 'whole',
    requests: PULL + 7,
  },
  {
    name: 'ten redirects in a row',
    faults: layer({ do: 'redirect', hops: 10, method: 'GET' }).map((fault) => ({ ...fault, on: 'blob' as const })),
    ends: 'whole',
    requests: PULL + 10,
  },
  {
    name: 'redirects without end',
    faults: layer({ do: 'redirect', to: 'loop' }).map((fault) => ({ ...fault, on: 'blob' as const })),
    ends: 'ERR_REGISTRY',
    requests: PULL + 10,
    message: /more than 10 redirects/,
  },
  {
    name: 'a redirect to a file',
    faults: layer({ do: 'redirect', to: { location: 'file:///etc/passwd' } }),
    ends: 'ERR_REGISTRY',
  },
  { name: 'a redirect to nowhere', faults: layer({ do: 'redirect', to: { location: null } }), ends: 'ERR_REGISTRY' },
  {
    name: 'a redirect from https to http',
    server: { tls: 'self-signed' },
    client: { plainHttp: false, tlsVerify: false },
    faults: layer({ do: 'redirect', to: 'plain-http' }).map((fault) => ({ ...fault, on: 'blob' as const })),
    ends: 'ERR_REGISTRY',
  },
];

const CREDENTIALS: readonly FaultLine[] = [
  { name: 'an anonymous token is wanted', server: { auth: { kind: 'bearer' } }, ends: 'whole', requests: PULL + 2 },
  {
    name: 'the token stands in access_token',
    server: { auth: { kind: 'bearer', users, field: 'access_token' } },
    credential: user,
    ends: 'whole',
    requests: PULL + 2,
  },
  {
    name: 'the challenge names another scope',
    server: { auth: { kind: 'bearer', scope: 'wrong' } },
    ends: 'whole',
    requests: PULL + 2,
  },
  {
    name: 'a refusal (401) names no way in',
    server: { auth: { kind: 'bearer' } },
    faults: [{ on: 'manifest', beforeAuth: true, times: 1, do: 'answer', status: 401 }],
    ends: 'whole',
    requests: PULL + 3,
    note: 'the root of the API names it',
  },
  {
    name: 'the image is hidden (404) from those who do not say who they are',
    server: { auth: { kind: 'basic', users } },
    credential: user,
    faults: [{ on: 'manifest', beforeAuth: true, times: 1, do: 'answer', status: 404 }],
    ends: 'whole',
    requests: PULL + 2,
    note: 'the root of the API asks',
  },
  {
    name: 'the token expires between the parts of a layer',
    server: { auth: { kind: 'bearer', users } },
    credential: user,
    faults: layer({ do: 'cut', after: 600_000, times: 1 }, { do: 'expire-tokens', nth: 2, times: 1 }),
    ends: 'whole',
    // The small layer may meet the expiry too.
    requests: PULL + 8,
  },
  {
    name: 'no token is ever good',
    server: { auth: { kind: 'bearer', uses: 0 } },
    ends: 'ERR_UNAUTHORIZED',
    requests: 6,
  },
  {
    name: 'the password is wrong',
    server: { auth: { kind: 'bearer', users } },
    credential: { username: 'user', password: `${SECRET}!` },
    ends: 'ERR_UNAUTHORIZED',
  },
  {
    name: 'there is no password, and one is wanted',
    server: { auth: { kind: 'basic', users } },
    ends: 'ERR_UNAUTHORIZED',
  },
  {
    name: 'name and password with every request (Basic)',
    server: { auth: { kind: 'basic', users } },
    credential: user,
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'the token server is 503, once',
    server: { auth: { kind: 'bearer', users } },
    credential: user,
    faults: [{ on: 'token', do: 'answer', status: 503, times: 1 }],
    ends: 'whole',
    requests: PULL + 4,
  },
  {
    name: 'the token server is silent',
    server: { auth: { kind: 'bearer' } },
    faults: [{ on: 'token', do: 'silence' }],
    ends: 'ERR_TIMEOUT',
    requests: 6,
  },
  {
    name: 'the token server is a web page',
    server: { auth: { kind: 'bearer' } },
    faults: [{ on: 'token', do: 'html' }],
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'the realm is a file',
    server: { auth: { kind: 'bearer', users, realm: 'file:///etc/shadow' } },
    credential: user,
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'the realm is plain http for an https registry',
    server: { tls: 'self-signed', auth: { kind: 'bearer', users, realm: 'http://127.0.0.1:9/token' } },
    client: { plainHttp: false, tlsVerify: false },
    credential: user,
    ends: 'ERR_REGISTRY',
  },
  {
    name: 'the certificate is signed by nobody',
    server: { tls: 'self-signed' },
    client: { plainHttp: false },
    ends: 'ERR_TLS',
    requests: 0,
  },
];

/** The table. */
export const FAULT_TABLE: readonly FaultGroup[] = [
  { title: 'Connections', lines: CONNECTIONS },
  { title: 'Bodies and headers', lines: BODIES },
  { title: 'Ranges and what an earlier run left', lines: RANGES },
  { title: 'Refusals, and requests to come back later', lines: REFUSALS },
  { title: 'Redirects', lines: REDIRECTS },
  { title: 'Credentials and certificates', lines: CREDENTIALS },
];
