/** Transports that are injected and know no pause: what they deliver early is kept, within a limit. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Dispatcher, MockAgent } from 'undici';
import { createRegistryClient } from '../../src/client/registry-client.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { createRepository } from '../../src/registry/repository.js';
import type { Descriptor } from '../../src/spec/descriptor.js';
import { image, SeededRandom } from '../../src/testing/testing.js';
import { built } from '../support/fault-case.js';
import { tempDir } from '../support/temp-dir.js';

const HOST = '127.0.0.1:5000';

/** Answers each path at once, in pieces, whatever is asked of it meanwhile. */
function hasty(answers: ReadonlyMap<string, readonly Buffer[]>, type = 'application/octet-stream'): Dispatcher {
  return {
    dispatch({ path }: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) {
      const controller = { aborted: false, paused: false, reason: null, abort() {}, pause() {}, resume() {} };
      const pieces = answers.get(path);
      handler.onRequestStart?.(controller as never, {});
      handler.onResponseStart?.(controller as never, pieces === undefined ? 404 : 200, { 'content-type': type });
      for (const piece of pieces ?? []) handler.onResponseData?.(controller as never, piece);
      handler.onResponseEnd?.(controller as never, {});
      return true;
    },
  } as unknown as Dispatcher;
}

test("undici's MockAgent answers manifests, lists and blobs", async () => {
  const agent = new MockAgent();
  agent.disableNetConnect();
  const pool = agent.get(`http://${HOST}`);
  const reply = (path: string, body: Buffer | string, type: string): void =>
    void pool.intercept({ path }).reply(200, body, { headers: { 'content-type': type } });
  reply('/v2/app/tags/list', '{"tags":["x"]}', 'application/json');
  reply('/v2/app/manifests/x', built.manifestBytes, built.descriptor.mediaType);
  const client = createRegistryClient({ dispatcher: agent, findCredentials: false, findEndpoints: false });
  const tags: string[] = [];
  for await (const tag of client.listTags(`${HOST}/app`)) tags.push(tag);
  assert.deepEqual(tags, ['x']);
  const { descriptor } = await client.getManifest(`${HOST}/app:x`);
  assert.equal(descriptor.digest, built.descriptor.digest);
  await agent.close();
});

test('layers arrive whole from a transport that goes on while it is paused', async (t) => {
  const random = new SeededRandom(3);
  const app = image().compression('none');
  for (let at = 0; at < 3; at++) app.layer((layer) => layer.file(`file-${at}`, random.bytes(3_000_000)));
  const { blobs, descriptor } = app.build();
  const { layers, config } = JSON.parse(String(blobs.get(descriptor.digest))) as {
    layers: Descriptor[];
    config: Descriptor;
  };
  const { rootfs } = JSON.parse(String(blobs.get(config.digest))) as { rootfs: { diff_ids: `sha256:${string}`[] } };
  const pieces = (bytes: Uint8Array): Buffer[] =>
    Array.from({ length: Math.ceil(bytes.length / 50_000) }, (_, at) =>
      Buffer.from(bytes.subarray(at * 50_000, (at + 1) * 50_000)),
    );
  const answers = new Map(
    layers.map(({ digest }) => [`/v2/app/blobs/${digest}`, pieces(blobs.get(digest) ?? Buffer.alloc(0))]),
  );
  const repository = createRepository(`${HOST}/app`, {
    dispatcher: hasty(answers),
  });
  const handles = await extractLayers(
    repository,
    layers.map((layer, at) => ({ descriptor: layer, diffId: rootfs.diff_ids[at] })),
    tempDir(t),
  );
  for (const handle of handles) await handle.close();
  assert.deepEqual(
    handles.map(({ diffId }) => diffId),
    rootfs.diff_ids,
  );
});

test('no more than 64 MiB are kept of a transport that knows no pause', async () => {
  const layer: Descriptor = {
    ...built.descriptor,
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    size: 80 * 1024 * 1024,
  };
  const piece = Buffer.alloc(1024 * 1024);
  const fetch = async (count: number): Promise<number> => {
    const answers = new Map([[`/v2/app/blobs/${layer.digest}`, Array.from({ length: count }, () => piece)]]);
    const dispatcher = hasty(answers);
    const repository = createRepository(`${HOST}/app`, {
      dispatcher,
      retry: 0,
    });
    let bytes = 0;
    for await (const chunk of await repository.fetch({ ...layer, size: Math.min(count, 64) * piece.length }))
      bytes += (chunk as Buffer).length;
    return bytes;
  };
  assert.equal(await fetch(64), 64 * piece.length);
  await assert.rejects(fetch(65), { code: 'ERR_LIMIT_EXCEEDED', message: /^dispatcher: .*honours pause/ });
});

test('a dispatcher of an undici that asks for other handlers is an option that does not fit', async () => {
  const old = {
    dispatch(): boolean {
      throw Object.assign(new Error('invalid onError method'), { code: 'UND_ERR_INVALID_ARG' });
    },
  };
  await assert.rejects(createRepository(`${HOST}/app`, { dispatcher: old }).resolve('v1'), {
    code: 'ERR_OPTION_INVALID',
    message: /undici 6 or older .*; give one of undici 7 or newer/,
  });
});

test('a dispatcher that is async, and rejects, fails the request and ends no process', async () => {
  const dispatcher = { dispatch: async () => Promise.reject(new Error('no way out')) } as unknown as Dispatcher;
  await assert.rejects(createRepository(`${HOST}/app`, { dispatcher, retry: 0 }).resolve('v1'), {
    code: 'ERR_NETWORK',
    message: /no way out/,
  });
});

test('a transport that gets no memory is not asked again, and the limit is named', async () => {
  let asked = 0;
  const dispatcher = {
    dispatch(_: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) {
      asked += 1;
      // What V8 throws under `ulimit -v` when undici makes its parser.
      handler.onResponseError?.(undefined as never, new RangeError('WebAssembly.Instance(): Out of memory'));
      return true;
    },
  } as unknown as Dispatcher;
  const client = createRegistryClient({ dispatcher, findCredentials: false, findEndpoints: false });
  await assert.rejects(client.getManifest(`${HOST}/app:x`), { code: 'ERR_INTERNAL', message: /ulimit -v/ });
  assert.equal(asked, 1);
});
