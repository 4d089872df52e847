/** Every fault through the main job: it ends well or with a code, politely, and the store never lies. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { RootfsError } from '../../src/errors.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import type { ProgressEvent } from '../../src/progress.js';
import type { CredentialProvider } from '../../src/registry/credentials.js';
import { createRepository } from '../../src/registry/repository.js';
import { openRootFS } from '../../src/rootfs/open-rootfs.js';
import { startRegistry, type TestRegistry } from '../../src/testing/testing.js';
import { app, appIndex, big, FAULT_TABLE, type FaultLine, PULL, SECRET, size } from '../support/fault-table.js';
import { layerNames, wrongLayers } from '../support/layer-files.js';
import { openFilesUnder } from '../support/open-files.js';
import { tempDir } from '../support/temp-dir.js';

const PARTIAL = `${big.descriptor.digest.replace(':', '-')}.partial`;

async function pull(registry: TestRegistry, line: FaultLine, dst: string, events: ProgressEvent[]): Promise<void> {
  const { credential } = line;
  const credentials: CredentialProvider | undefined =
    credential === undefined ? undefined : { credential: async () => ({ credential, source: 'the test' }) };
  const repository = createRepository(`${registry.host}/app`, {
    timeoutMs: 500,
    retry: 2,
    maxRetryAfterMs: 1_500,
    credentials,
    ...line.client,
  });
  const onProgress = (event: ProgressEvent): void => void events.push(event);
  const found = await fetchImage(repository, 'latest', { platform: 'linux/amd64', onProgress });
  const rootfs = await openRootFS(repository, found, dst, { onProgress, fsync: 'none' });
  try {
    for (const [at, layer] of rootfs.layers.entries()) {
      assert.ok((await layer.file.readFile()).equals(app.layers[at]?.tar ?? Buffer.alloc(0)), layer.diffId);
    }
  } finally {
    await rootfs.close();
  }
}

/** What a run may leave: right layers, and of the larger layer so many bytes of the right ones. */
function checkStore(dst: string, keeps: number): void {
  assert.deepEqual(wrongLayers(dst), []);
  const ingest = join(dst, 'ingest');
  assert.deepEqual(existsSync(ingest) ? readdirSync(ingest) : [], keeps > 0 ? [PARTIAL] : []);
  if (keeps > 0) assert.ok(readFileSync(join(ingest, PARTIAL)).equals(big.blob.subarray(0, keeps)));
  assert.deepEqual(openFilesUnder(dst), []);
}

function checkTraffic(registry: TestRegistry, line: FaultLine): void {
  const most = line.requests ?? PULL;
  const { requests, bytesSent, leaked } = registry.log;
  assert.ok(requests.length <= most, `${requests.length} requests, at most ${most} were expected`);
  const bytes = line.bytes ?? size * 1.1;
  assert.ok(bytesSent <= bytes, `${bytesSent} bytes were sent, at most ${bytes} were expected`);
  assert.deepEqual(leaked, []);
}

async function check(t: TestContext, line: FaultLine): Promise<void> {
  await using registry = await startRegistry(line.server);
  const faults = (line.faults ?? []).map((fault) => registry.fault(fault));
  registry.add('app', 'latest', appIndex);
  const dst = tempDir(t);
  if (line.partial !== undefined) {
    mkdirSync(join(dst, 'ingest'));
    writeFileSync(join(dst, 'ingest', PARTIAL), line.partial);
  }
  const events: ProgressEvent[] = [];
  const error = await pull(registry, line, dst, events).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  const seen = registry.log.requests.map(({ method, url, status }) => `${method} ${url.slice(0, 60)} ${status}`);
  const story = `${error instanceof Error ? error.stack : 'it ended well'}\n${seen.join('\n')}`;
  try {
    if (line.ends === 'whole') {
      assert.equal(error, undefined);
      assert.equal(layerNames(dst).length, app.layers.length);
    } else {
      assert.ok(error instanceof RootfsError);
      assert.equal(error.code, line.ends);
      assert.match(error.message, line.message ?? /./);
    }
    const told = `${JSON.stringify(error)}${error instanceof Error ? error.stack : ''}${JSON.stringify(events)}`;
    assert.ok(!told.includes(SECRET), 'a secret was told');
    checkTraffic(registry, line);
    for (const [at, fault] of faults.entries()) assert.ok(fault.struck > 0, `fault ${at} never struck`);
    checkStore(dst, line.keeps ?? 0);
    if ((line.keeps ?? 0) === 0) return;
    // What was kept is not fetched again.
    registry.clearFaults();
    registry.log.reset();
    await pull(registry, line, dst, events);
    assert.equal(registry.log.bytesOf(big.descriptor.digest), size - (line.keeps ?? 0));
    checkStore(dst, 0);
  } catch (wrong) {
    throw new Error(`${wrong instanceof Error ? wrong.message : wrong}\n${story}`, { cause: wrong });
  }
}

for (const { title, lines } of FAULT_TABLE) {
  describe(title, { concurrency: 6 }, () => {
    for (const line of lines) test(line.name, (t) => check(t, line));
  });
}
