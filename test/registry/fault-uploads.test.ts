/** Uploads that are cut, lost and refused. */
import assert from 'node:assert/strict';
import { image } from '../../src/testing/testing.js';
import { type Act, built, type Case, noise, runCases, user, users } from '../support/fault-case.js';

const pushed = Buffer.from(noise.map((byte) => byte ^ 0x55));
const pushTarget = image()
  .layer((l) => l.file('pushed', pushed))
  .compression('none')
  .build().layers[0];
assert.ok(pushTarget !== undefined);

/** Content that can be read again from the start. */
const again = (bytes: Buffer): AsyncIterable<Uint8Array> => ({
  async *[Symbol.asyncIterator]() {
    for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
  },
});

const push: Act = async (repository, _events, registry) => {
  await repository.push(pushTarget.descriptor, again(pushTarget.blob));
  assert.deepEqual(registry.content.blob('app', pushTarget.descriptor.digest), pushTarget.blob);
};
const pushInPieces: Partial<Case> = { act: push, client: { uploadChunkBytes: 100_000 } };

runCases('Uploads that are cut, lost and refused', [
  { name: 'a push goes through', act: push, ends: 'whole', requests: 3 },
  { name: 'a push in pieces goes through', ...pushInPieces, ends: 'whole', requests: 7 },
  {
    name: 'a push starts on the second try',
    act: push,
    faults: [{ on: 'upload', method: 'POST', times: 1, do: 'answer', status: 503 }],
    ends: 'whole',
    requests: 4,
  },
  {
    name: 'a push is cut in its bytes',
    act: push,
    faults: [{ on: 'upload', method: 'PUT', times: 1, do: 'hang-up', after: 100_000 }],
    ends: 'whole',
    requests: 6,
  },
  {
    name: 'a piece is cut',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', nth: 2, times: 1, do: 'hang-up', after: 50_000 }],
    ends: 'whole',
    requests: 9,
  },
  {
    name: 'a piece is 500 once',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', nth: 3, times: 1, do: 'answer', status: 500 }],
    ends: 'whole',
    requests: 9,
  },
  {
    name: 'pieces are 500 always',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', do: 'answer', status: 500 }],
    ends: 'ERR_REGISTRY',
    requests: 12,
  },
  {
    name: 'the upload is lost half way',
    ...pushInPieces,
    faults: [
      { on: 'upload', method: 'PATCH', nth: 3, times: 1, do: 'answer', status: 404 },
      { on: 'upload', method: 'GET', times: 1, do: 'answer', status: 404 },
    ],
    ends: 'whole',
    requests: 16,
  },
  {
    name: 'the upload is lost again and again',
    ...pushInPieces,
    faults: [
      { on: 'upload', method: 'PATCH', nth: 3, do: 'answer', status: 404 },
      { on: 'upload', method: 'GET', do: 'answer', status: 404 },
    ],
    ends: 'ERR_NETWORK',
    requests: 24,
  },
  {
    name: 'the end of an upload is hung up on, once',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PUT', times: 1, do: 'hang-up' }],
    ends: 'whole',
    requests: 16,
  },
  {
    name: 'the content is too large for the registry',
    act: push,
    faults: [{ on: 'upload', method: 'PUT', do: 'answer', status: 413 }],
    ends: 'ERR_LIMIT_EXCEEDED',
    requests: 4,
  },
  {
    name: 'the registry is read-only',
    act: push,
    faults: [{ on: 'upload', do: 'code-only', status: 405, code: 'UNSUPPORTED' }],
    ends: 'ERR_UNSUPPORTED',
    requests: 2,
    message: /takes no uploads/,
  },
  {
    name: 'the digest is rejected at the end',
    act: push,
    faults: [{ on: 'upload', method: 'PUT', do: 'code-only', status: 400, code: 'DIGEST_INVALID' }],
    ends: 'ERR_DIGEST_MISMATCH',
    // Once more in a PATCH: some registries drop the bytes of a PUT.
    requests: 8,
  },
  {
    name: 'an upload has no Location',
    act: push,
    faults: [{ on: 'upload', method: 'POST', do: 'headers', remove: ['location'] }],
    ends: 'ERR_REGISTRY',
    requests: 2,
  },
  {
    name: 'a PUT with everything is refused: a PATCH brings it',
    act: push,
    faults: [{ on: 'upload', method: 'PUT', times: 1, do: 'answer', status: 400 }],
    ends: 'whole',
    requests: 8,
  },
  {
    name: 'the end of a blob is in conflict, and the blob is not there: that is no tag that may not be moved',
    act: push,
    faults: [{ on: 'upload', method: 'PUT', do: 'answer', status: 409 }],
    ends: 'ERR_REGISTRY',
    requests: 5,
    message: /refused it with status 409/,
  },
  {
    name: 'PATCH is refused: one PUT brings everything',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', do: 'answer', status: 405 }],
    ends: 'whole',
    requests: 6,
  },
  {
    name: 'a registry counts no bytes in its Range',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', do: 'headers', set: { range: '0-0' } }],
    ends: 'whole',
    requests: 7,
  },
  {
    name: 'a registry counts one byte too many in its Range',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'PATCH', do: 'headers', set: { range: '0-100000' }, times: 1 }],
    ends: 'whole',
    requests: 7,
  },
  {
    name: 'a registry wants larger pieces',
    ...pushInPieces,
    faults: [{ on: 'upload', method: 'POST', do: 'headers', set: { 'oci-chunk-min-length': '200000' } }],
    ends: 'whole',
    requests: 5,
  },
  ...[400, 405, 501].map(
    (status): Case => ({
      name: `whether a blob is there is not answered (${status} to HEAD)`,
      act: push,
      faults: [{ on: 'blob', method: 'HEAD', do: 'answer', status }],
      ends: 'whole',
      requests: 4,
    }),
  ),
  ...(
    [
      ['HEAD', 'whole', 4],
      [undefined, 'ERR_NETWORK', 3],
    ] as const
  ).map(
    ([method, ends, requests]): Case => ({
      name: `whether a blob is there is never answered to ${method ?? 'anything'}`,
      act: push,
      faults: [{ on: 'blob', method, do: 'hang-up' }],
      ends,
      requests,
    }),
  ),
  ...[200, 204, 405, 409, 500, 503].map(
    (status): Case => ({
      name: `a mount is answered with ${status}: pushed instead, at once`,
      act: async (repository) => assert.equal(await repository.mount(pushTarget.descriptor, 'other'), false),
      faults: [{ on: 'upload', method: 'POST', do: 'answer', status }],
      ends: 'whole',
      requests: 1,
    }),
  ),
  {
    name: 'a mount opens an upload without saying where',
    act: async (repository) => assert.equal(await repository.mount(pushTarget.descriptor, 'other'), false),
    faults: [{ on: 'upload', method: 'POST', do: 'answer', status: 202 }],
    ends: 'whole',
    requests: 1,
  },
  ...(
    [
      [409, {}],
      [412, {}],
      [400, { errors: [{ code: 'TAG_INVALID', message: 'it exists, and the repository is immutable' }] }],
    ] as const
  ).map(
    ([status, body]): Case => ({
      name: `a tag may not be moved (${status})`,
      act: (repository) => repository.tag(built.descriptor, 'taken'),
      faults: [{ on: 'manifest', method: 'PUT', do: 'answer', status, body }],
      ends: 'ERR_DENIED',
      requests: 2,
      message: /app:taken: .* refuses to change it with status/,
    }),
  ),
  {
    name: 'a push needs more than the token for pulling',
    act: push,
    server: { auth: { kind: 'bearer', users } },
    credential: user,
    ends: 'whole',
    requests: 6,
  },
  {
    name: 'a push is not allowed',
    act: push,
    server: { auth: { kind: 'bearer' } },
    ends: 'ERR_UNAUTHORIZED',
    requests: 10,
  },
]);
