/** Refusals, and requests to come back later. */
import assert from 'node:assert/strict';
import { big, blobFault, built, type Case, PULL, runCases } from '../support/fault-case.js';
import { ON_THE_WAY } from '../support/on-the-way.js';

runCases('Refusals, and requests to come back later', [
  ...[408, 429, 500, 502, 503, 504].flatMap((status): Case[] => [
    {
      name: `the manifest is ${status} once`,
      faults: [{ on: 'manifest', times: 1, do: 'answer', status }],
      ends: 'whole',
      requests: PULL + 1,
    },
    {
      name: `the blob is ${status} twice`,
      faults: blobFault({ times: 2, do: 'answer', status }),
      ends: 'whole',
      requests: PULL + 2,
    },
    {
      name: `the blob is ${status} always`,
      faults: blobFault({ do: 'answer', status }),
      ends: status === 429 ? 'ERR_RATE_LIMITED' : 'ERR_REGISTRY',
      requests: PULL + 2,
    },
  ]),
  ...(
    [
      [400, 'ERR_REGISTRY'],
      [404, 'ERR_NOT_FOUND'],
      [405, 'ERR_UNSUPPORTED'],
      [410, 'ERR_NOT_FOUND'],
      [418, 'ERR_REGISTRY'],
      [501, 'ERR_REGISTRY'],
      [204, 'ERR_REGISTRY'],
      [304, 'ERR_REGISTRY'],
    ] as const
  ).map(
    ([status, code]): Case => ({
      name: `the manifest is ${status} always: asked once`,
      faults: [{ on: 'manifest', do: 'answer', status }],
      ends: code,
      // It may be hidden from nobody: the root of the API is asked.
      requests: status === 404 || status === 405 ? 2 : 1,
    }),
  ),
  {
    name: 'the manifest is 403 always: asked once, and the root of the API whether it would help to be somebody',
    faults: [{ on: 'manifest', do: 'answer', status: 403 }],
    ends: 'ERR_DENIED',
    requests: 2,
  },
  {
    name: 'a proxy on the way answers with 203 in the place of 200',
    faults: [
      {
        on: 'manifest',
        do: 'answer',
        status: 203,
        headers: { 'content-type': built.descriptor.mediaType },
        body: built.blobs.get(built.descriptor.digest),
      },
      ...blobFault({ do: 'answer', status: 203, body: built.blobs.get(big.descriptor.digest) }),
    ],
    ends: 'whole',
    requests: PULL,
  },
  {
    name: 'a refusal is one code without a message',
    faults: [{ on: 'manifest', do: 'code-only', status: 404, code: 'MANIFEST_UNKNOWN' }],
    ends: 'ERR_NOT_FOUND',
    requests: 2,
    message: /^manifest for .*app:latest not found \(manifest unknown\)/,
  },
  {
    name: 'a refusal is a page of HTML',
    faults: [{ on: 'manifest', do: 'html', status: 403 }],
    ends: 'ERR_DENIED',
    requests: 2,
    message: /HTML page: Sign in/,
  },
  {
    name: 'a refusal has an endless body',
    faults: [
      { on: 'manifest', do: 'answer', status: 403 },
      { on: 'manifest', do: 'endless' },
    ],
    ends: 'ERR_DENIED',
    requests: 2,
    bytes: 2 * ON_THE_WAY,
  },
  {
    name: 'a refusal stalls',
    faults: [
      { on: 'manifest', do: 'answer', status: 403, body: 'no' },
      { on: 'manifest', do: 'stall', after: 1 },
    ],
    ends: 'ERR_DENIED',
    requests: 2,
  },
  ...[499, 520, 524, 599].map(
    (status): Case => ({
      name: `the blob is ${status} once: a proxy's own status`,
      faults: blobFault({ times: 1, do: 'answer', status }),
      ends: 'whole',
      requests: PULL + 1,
    }),
  ),
  {
    name: 'a refusal drips',
    act: async (repository) => {
      const start = Date.now();
      await repository
        .fetchReference('latest')
        .finally(() => assert.ok(Date.now() - start < 5_000, 'the reason is not waited for'));
    },
    faults: [
      { on: 'manifest', do: 'answer', status: 404, body: 'x'.repeat(200) },
      { on: 'manifest', do: 'drip', everyMs: 100 },
    ],
    ends: 'ERR_NOT_FOUND',
    requests: 2,
  },
  {
    name: 'the manifest drips',
    client: { timeoutMs: 100 },
    faults: [{ on: 'manifest', do: 'drip', everyMs: 50 }],
    ends: 'ERR_TIMEOUT',
    requests: 1,
    message: /app:latest: the answer is not complete after 1000 ms/,
  },
  {
    name: 'a refusal tries to write to the terminal',
    faults: [
      {
        on: 'manifest',
        do: 'answer',
        status: 403,
        body: { errors: [{ code: 'DENIED', message: '\u001b[2Jno\r\nyes' }] },
      },
    ],
    ends: 'ERR_DENIED',
    requests: 2,
    message: /^[\x20-\x7e]*$/,
  },
  {
    name: 'the page of a captive portal stands in for the manifest',
    faults: [{ on: 'manifest', do: 'html' }],
    ends: 'ERR_REGISTRY',
    message: /web page instead of a manifest/,
    requests: 1,
  },
  {
    name: 'nothing stands in for the manifest',
    faults: [{ on: 'manifest', do: 'answer', status: 200, body: '' }],
    ends: 'ERR_REGISTRY',
    message: /answered with nothing instead of a manifest/,
  },
  {
    name: 'Retry-After in seconds is honoured',
    faults: [{ on: 'manifest', times: 1, do: 'retry-later', seconds: 1 }],
    ends: 'whole',
    requests: PULL + 1,
    also: ({ events }) => assert.ok(events.some((event) => event.type === 'request:retried' && event.waitMs >= 1000)),
  },
  {
    name: 'Retry-After as a date is honoured',
    faults: [{ on: 'manifest', times: 1, do: 'retry-later', seconds: 1, date: true }],
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'Retry-After with 503 is honoured',
    faults: blobFault({ times: 1, do: 'retry-later', status: 503, seconds: 1 }),
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'Retry-After of a day is an error that says when',
    faults: [{ on: 'manifest', do: 'retry-later', seconds: 86_400 }],
    ends: 'ERR_RATE_LIMITED',
    requests: 1,
    message: /come back in 86400 s, at \d{4}-/,
  },
  {
    name: 'Retry-After as a date in a day is an error that says when',
    faults: blobFault({ do: 'retry-later', seconds: 86_400, date: true }),
    ends: 'ERR_RATE_LIMITED',
    requests: PULL,
    message: /come back in 86\d\d\d s/,
  },
  {
    name: 'Retry-After again and again is not waited for beyond the cap',
    faults: [{ on: 'manifest', do: 'retry-later', seconds: 1 }],
    ends: 'ERR_RATE_LIMITED',
    requests: 2,
  },
  {
    name: 'Retry-After that says nothing is passed over',
    faults: [{ on: 'manifest', times: 1, do: 'answer', status: 429, headers: { 'retry-after': 'soon' } }],
    ends: 'whole',
    requests: PULL + 1,
  },
  {
    name: 'Retry-After in the past is no wait',
    faults: [
      {
        on: 'manifest',
        times: 1,
        do: 'answer',
        status: 503,
        headers: { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' },
      },
    ],
    ends: 'whole',
    requests: PULL + 1,
  },
]);
