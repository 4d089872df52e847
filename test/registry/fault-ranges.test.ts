/** Ranges that are not the ones that were asked for. */
import assert from 'node:assert/strict';
import { type Act, big, blobFault, type Case, PULL, runCases, size } from '../support/fault-case.js';

const range =
  (start: number, end?: number): Act =>
  async (repository) => {
    const stream = await repository.fetch(big.descriptor, { range: end === undefined ? { start } : { start, end } });
    assert.deepEqual(Buffer.concat(await stream.toArray()), big.blob.subarray(start, end));
  };

runCases('Ranges that are not the ones that were asked for', [
  { name: 'a range comes as asked', act: range(1_000, 200_000), ends: 'whole', requests: 1, bytes: 199_000 },
  {
    name: 'a range is ignored: the rest is dropped',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'ignored' }),
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'a range is refused',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'refused' }),
    ends: 'ERR_RANGE_INVALID',
    requests: 1,
  },
  {
    name: 'a range comes without Content-Range',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'no-header' }),
    ends: 'ERR_RANGE_INVALID',
    requests: 2,
  },
  {
    name: 'another range comes than was asked',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'shifted' }),
    ends: 'ERR_RANGE_INVALID',
    requests: 2,
  },
  {
    name: 'another range comes once',
    act: range(1_000, 200_000),
    faults: blobFault({ times: 1, do: 'range', as: 'shifted' }),
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'a range is of another total',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'wrong-total' }),
    ends: 'ERR_RANGE_INVALID',
    requests: 2,
  },
  {
    name: 'a range names its unit in capitals, as it may',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'headers', set: { 'content-range': `BYTES 1000-199999/${size}` } }),
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'the end of a blob is refused as a range: it is read out of all of it',
    act: range(200_000),
    faults: blobFault({ do: 'range', as: 'refused' }),
    ends: 'whole',
    requests: 2,
  },
  {
    name: 'the end of a blob never comes as the range that was asked for: it is read out of all of it',
    act: range(200_000),
    faults: blobFault({ do: 'range', as: 'no-header' }),
    ends: 'whole',
    requests: 3,
  },
  {
    name: 'a range is of an unknown total',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'unknown-total' }),
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'a range goes on to the end of the blob',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'to-the-end' }),
    ends: 'whole',
    requests: 1,
  },
  {
    name: 'a range is cut and goes on',
    act: range(1_000, 200_000),
    faults: blobFault({ times: 2, do: 'cut', after: 70_000 }),
    ends: 'whole',
    requests: 3,
    bytes: 210_000,
  },
  {
    name: 'the blob is cut and the rest refused: all of it comes again',
    faults: [...blobFault({ times: 1, do: 'cut', after: 70_000 }), ...blobFault({ do: 'range', as: 'refused' })],
    ends: 'whole',
    requests: PULL + 2,
  },
  {
    name: 'the blob is cut and wrong bytes follow',
    faults: [...blobFault({ times: 1, do: 'cut', after: 70_000 }), ...blobFault({ do: 'range', as: 'wrong-bytes' })],
    ends: 'ERR_DIGEST_MISMATCH',
    requests: PULL + 1,
  },
  ...(['no-header', 'shifted', 'wrong-total'] as const).map(
    (as): Case => ({
      name: `the blob is cut and no range is the asked one (${as}): all of it comes again`,
      faults: [...blobFault({ times: 1, do: 'cut', after: 70_000 }), ...blobFault({ do: 'range', as })],
      ends: 'whole',
      requests: PULL + 3,
      bytes: size * 3,
    }),
  ),
  ...[400, 403, 405, 501].map(
    (status): Case => ({
      name: `the blob is cut and the rest refused with ${status}: all of it comes again`,
      faults: [
        ...blobFault({ times: 1, do: 'cut', after: 70_000 }),
        ...blobFault({ nth: 2, times: 1, do: 'answer', status }),
      ],
      ends: 'whole',
      // After a 403 the root is asked whether a login is wanted.
      requests: PULL + (status === 403 ? 3 : 2),
    }),
  ),
  ...[404, 410].map(
    (status): Case => ({
      name: `the blob is cut and the rest is not there once (${status}): all of it comes again`,
      faults: [
        ...blobFault({ times: 1, do: 'cut', after: 70_000 }),
        ...blobFault({ nth: 2, times: 1, do: 'answer', status }),
      ],
      ends: 'whole',
      requests: PULL + (status === 404 ? 3 : 2),
    }),
  ),
  {
    name: 'the blob is cut and gone: it is asked for once more',
    faults: [...blobFault({ times: 1, do: 'cut', after: 70_000 }), ...blobFault({ nth: 2, do: 'answer', status: 404 })],
    ends: 'ERR_NOT_FOUND',
    requests: 5,
    bytes: 75_000,
  },
  {
    name: 'a range to the end is not there: it is not asked for again',
    act: range(200_000),
    faults: blobFault({ do: 'answer', status: 404 }),
    ends: 'ERR_NOT_FOUND',
    requests: 2,
    bytes: 1_000,
  },
  {
    name: 'the blob comes byte by byte: that is no progress',
    faults: blobFault({ do: 'cut', after: 1 }),
    ends: 'ERR_NETWORK',
    requests: PULL + 2,
  },
  {
    name: 'the blob is cut again and again, each time with another ETag',
    faults: [1, 2, 3, 4, 5, 6].flatMap((nth) => [
      ...blobFault({ nth, times: 1, do: 'headers', set: { etag: `"${nth}"` } }),
      ...blobFault({ nth, times: 1, do: 'cut', after: 50_000 }),
    ]),
    ends: 'whole',
    requests: PULL + 8,
  },
  {
    name: 'the blob is cut and has another ETag afterwards',
    faults: [
      ...blobFault({ times: 1, do: 'headers', set: { etag: '"one"' } }),
      ...blobFault({ nth: 2, do: 'headers', set: { etag: '"two"' } }),
      ...blobFault({ times: 1, do: 'cut', after: 70_000 }),
    ],
    ends: 'whole',
    requests: PULL + 2,
  },
]);
