/** Bodies and headers that are not what they should be. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { MAX_DOCUMENT_BYTES } from '../../src/io/limit.js';
import { type Act, blobFault, built, type Case, PULL, runCases, size } from '../support/fault-case.js';
import { ON_THE_WAY } from '../support/on-the-way.js';

const resolveTag: Act = async (repository) => {
  assert.deepEqual(await repository.resolve('latest'), built.descriptor);
};

runCases('Bodies and headers that are not what they should be', [
  ...(['gzip', 'x-gzip'] as const).map(
    (encoding): Case => ({
      name: `the manifest comes compressed (${encoding}), unasked`,
      faults: [
        {
          on: 'manifest',
          do: 'answer',
          status: 200,
          headers: { 'content-type': built.descriptor.mediaType, 'content-encoding': encoding },
          body: gzipSync(built.manifestBytes),
        },
      ],
      ends: 'whole',
    }),
  ),
  {
    name: 'the manifest is compressed and huge',
    faults: [
      {
        on: 'manifest',
        do: 'answer',
        status: 200,
        headers: { 'content-type': built.descriptor.mediaType, 'content-encoding': 'gzip' },
        body: gzipSync(Buffer.alloc(5 * 1024 * 1024, 0x20)),
      },
    ],
    ends: 'ERR_LIMIT_EXCEEDED',
    requests: 1,
  },
  {
    name: 'the manifest is said to be compressed and is not',
    faults: [{ on: 'manifest', do: 'headers', set: { 'content-encoding': 'gzip' } }],
    ends: 'whole',
  },
  {
    name: 'HEAD tells the length of a compressed manifest',
    act: resolveTag,
    faults: [
      { on: 'manifest', method: 'HEAD', do: 'headers', set: { 'content-encoding': 'gzip', 'content-length': '77' } },
    ],
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'the config comes compressed, unasked',
    faults: [
      {
        on: 'blob',
        reference: built.manifest.config.digest,
        do: 'answer',
        status: 200,
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync(built.blobs.get(built.manifest.config.digest) ?? Buffer.alloc(0)),
      },
    ],
    ends: 'whole',
  },
  {
    name: 'the blob is short and says so',
    faults: blobFault({ do: 'short', by: 1_000 }),
    ends: 'ERR_DIGEST_MISMATCH',
    requests: PULL,
  },
  {
    name: 'the blob is short and declares its whole length, once',
    faults: blobFault({ times: 1, do: 'short', by: 1_000, declared: 'original' }),
    ends: 'whole',
    requests: PULL + 1,
    bytes: size * 1.05,
  },
  {
    name: 'the blob is short without a length, once',
    faults: blobFault({ times: 1, do: 'short', by: 1_000, declared: 'none' }),
    ends: 'whole',
    requests: PULL + 1,
    bytes: size * 1.05,
  },
  {
    name: 'the blob is one byte too long',
    faults: blobFault({ do: 'long', by: 1 }),
    ends: 'ERR_SIZE_MISMATCH',
    requests: PULL,
  },
  {
    name: 'the blob is too long and hides it',
    faults: blobFault({ do: 'long', by: 100_000, declared: 'original' }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'the blob is too long without a length',
    faults: blobFault({ do: 'long', by: 100_000, declared: 'none' }),
    ends: 'ERR_SIZE_MISMATCH',
    requests: PULL,
  },
  {
    name: 'the blob never ends',
    faults: blobFault({ do: 'endless' }),
    ends: 'ERR_SIZE_MISMATCH',
    requests: PULL,
    bytes: size + ON_THE_WAY,
  },
  {
    name: 'one bit of the blob is wrong',
    faults: blobFault({ do: 'flip' }),
    ends: 'ERR_DIGEST_MISMATCH',
    requests: PULL,
  },
  {
    name: 'CVE-2017-11468 (distribution): the manifest never ends',
    faults: [{ on: 'manifest', do: 'endless' }],
    ends: 'ERR_LIMIT_EXCEEDED',
    requests: 1,
    bytes: MAX_DOCUMENT_BYTES + ON_THE_WAY,
  },
  {
    name: 'the manifest says another digest in its header',
    faults: [{ on: 'manifest', do: 'headers', set: { 'docker-content-digest': `sha256:${'1'.repeat(64)}` } }],
    ends: 'whole',
  },
  {
    name: 'the manifest has no digest in its header',
    faults: [{ on: 'manifest', do: 'headers', remove: ['docker-content-digest'] }],
    ends: 'whole',
  },
  {
    name: 'the manifest has no content type',
    faults: [{ on: 'manifest', do: 'headers', remove: ['content-type'] }],
    ends: 'whole',
  },
  {
    name: 'the manifest has a generic content type',
    faults: [{ on: 'manifest', do: 'headers', set: { 'content-type': 'text/plain' } }],
    ends: 'whole',
  },
  {
    name: 'the manifest has a content type with parameters',
    faults: [
      {
        on: 'manifest',
        do: 'headers',
        set: { 'content-type': `${built.descriptor.mediaType.toUpperCase()}; charset=utf-8` },
      },
    ],
    ends: 'whole',
  },
  {
    name: 'the manifest comes without a length',
    faults: [{ on: 'manifest', do: 'headers', remove: ['content-length'] }],
    ends: 'whole',
  },
  {
    name: 'the blob is labelled as gzip by the way',
    faults: blobFault({ do: 'headers', set: { 'content-encoding': 'gzip' } }),
    ends: 'whole',
  },
  {
    name: 'the blob comes without a length',
    faults: blobFault({ do: 'headers', remove: ['content-length'] }),
    ends: 'whole',
  },
  {
    name: 'a Warning header is told',
    faults: [{ on: 'manifest', do: 'headers', set: { warning: '299 - "this repository moves \\"soon\\""' } }],
    ends: 'whole',
    also: ({ events }) =>
      assert.ok(
        events.some(
          (event) => event.type === 'warning:raised' && event.message.endsWith('this repository moves "soon"'),
        ),
      ),
  },
  ...[400, 403, 405, 406, 500, 501].map(
    (status): Case => ({
      name: `HEAD is refused with ${status}: GET says it`,
      act: resolveTag,
      faults: [{ on: 'manifest', method: 'HEAD', do: 'answer', status }],
      ends: 'whole',
      requests: 2,
    }),
  ),
  ...(['hang-up', 'silence'] as const).flatMap((fault): Case[] => [
    {
      name: `HEAD is never answered (${fault}): the next attempt is by GET`,
      act: resolveTag,
      faults: [{ on: 'manifest', method: 'HEAD', do: fault }],
      ends: 'whole',
      requests: 2,
    },
    {
      name: `whether a manifest is there: HEAD is never answered (${fault}), GET is`,
      act: async (repository) => assert.equal(await repository.exists(built.descriptor), true),
      faults: [{ on: 'manifest', method: 'HEAD', do: fault }],
      ends: 'whole',
      requests: 2,
    },
    {
      name: `neither HEAD nor GET is answered (${fault}): no more attempts than of one`,
      act: resolveTag,
      faults: [{ on: 'manifest', do: fault }],
      ends: fault === 'silence' ? 'ERR_TIMEOUT' : 'ERR_NETWORK',
      requests: 3,
    },
  ]),
  {
    name: 'HEAD has no digest: GET says it',
    act: resolveTag,
    faults: [{ on: 'manifest', method: 'HEAD', do: 'headers', remove: ['docker-content-digest'] }],
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'HEAD has a digest that is none: GET says it',
    act: resolveTag,
    faults: [
      { on: 'manifest', method: 'HEAD', do: 'headers', set: { 'docker-content-digest': 'sha256:../../etc/passwd' } },
    ],
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'HEAD has the length 0: GET says it',
    act: resolveTag,
    faults: [{ on: 'manifest', method: 'HEAD', do: 'headers', set: { 'content-length': '0' } }],
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'HEAD has a generic content type: GET says it',
    act: resolveTag,
    faults: [{ on: 'manifest', method: 'HEAD', do: 'headers', set: { 'content-type': 'application/json' } }],
    ends: 'whole',
    requests: 2,
  },
  { name: 'HEAD says all: nothing more is asked', act: resolveTag, ends: 'whole', requests: 1 },
]);
