/** Ranges that are not the ones that were asked for. */
import assert from 'node:assert/strict';
import { type Act, big, blobFault, PULL, runCases } from '../support/fault-case.js';

const range =
  (start: number, end: number): Act =>
  async (repository) => {
    const stream = await repository.fetch(big.descriptor, { range: { start, end } });
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
    ends: 'ERR_NETWORK',
    requests: 3,
  },
  {
    name: 'another range comes than was asked',
    act: range(1_000, 200_000),
    faults: blobFault({ do: 'range', as: 'shifted' }),
    ends: 'ERR_NETWORK',
    requests: 3,
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
    ends: 'ERR_NETWORK',
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
