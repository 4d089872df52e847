/** One layer looked into: others have their turn meanwhile, whatever is in it. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { checkLayer } from '../../src/client/check-layer.js';
import { RootfsError } from '../../src/errors.js';
import { MediaType } from '../../src/spec/media-types.js';
import { digestOf } from '../../src/testing/testing.js';
import { END, member } from '../support/raw-tar.js';

test('others have their turn among very many records, though all chunks of the stream are ready', async (t) => {
  const records = member({ name: 'x', type: 'x' }, '5 a=\n'.repeat(200_000));
  const tar = Buffer.concat([
    ...Array(8)
      .fill([records, member({})])
      .flat(),
    END,
  ]);
  const digest = digestOf(tar);
  const layer = { mediaType: MediaType.ociLayer, digest, size: tar.length };
  const chunks = Array.from({ length: Math.ceil(tar.length / 262_144) }, (_, index) =>
    tar.subarray(index * 262_144, (index + 1) * 262_144),
  );
  const source = { fetch: async () => Readable.from(chunks, { objectMode: false, highWaterMark: 2 ** 30 }) };
  let turns = 0;
  const others = setInterval(() => {
    turns += 1;
  }, 1);
  t.after(() => clearInterval(others));
  await checkLayer(source, layer, new Set([digest]), {});
  assert.ok(turns > 2, `${turns} turns`);
});

test('a tar that asks for too much is told with its layer', async () => {
  const tar = Buffer.concat([member({ name: 'x', type: 'x' }, Buffer.alloc(1_048_577, 'a')), member({}), END]);
  const digest = digestOf(tar);
  const layer = { mediaType: MediaType.ociLayer, digest, size: tar.length };
  const source = { fetch: async () => Readable.from([tar]) };
  await assert.rejects(checkLayer(source, layer, new Set([digest]), {}), (error) => {
    assert.ok(error instanceof RootfsError);
    assert.equal(error.code, 'ERR_LIMIT_EXCEEDED');
    assert.match(error.message, new RegExp(`^${digest}: tar at byte 0: `));
    assert.equal(error.detail['digest'], digest);
    return true;
  });
});
