/** Signals of polyfills know no `throwIfAborted`: each verb takes them all the same. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import * as kit from '../src/index.js';
import { startRegistry } from '../src/testing/testing.js';
import { contractImage } from './content/target-contract.js';
import { tempDir } from './support/temp-dir.js';

class OtherSignal extends EventTarget {
  aborted = false;
  reason: unknown;

  abort(reason: unknown): void {
    this.aborted = true;
    this.reason = reason;
    this.dispatchEvent(new Event('abort'));
  }
}

test('a signal of another make is taken from the registry to the file system, and heard', async (t) => {
  const folder = tempDir(t);
  await using registry = await startRegistry({ auth: { kind: 'bearer' } });
  registry.add('app', 'v1', contractImage());
  const mine = new OtherSignal();
  const signal = mine as unknown as AbortSignal;
  const opened = await kit.openSource(`${registry.host}/app:v1`, { signal, retry: 0 });
  const { source, reference } = opened;
  const image = await kit.fetchImage(source, reference, { signal });
  await using rootfs = await kit.openRootFS(source, image, folder, { signal });
  const tree = await kit.mergeLayers(rootfs.layers, { signal });
  await kit.flattenFile(tree, rootfs.layers, join(folder, 'x.tar'), { signal });
  await kit.writeErofs(tree, rootfs.layers, join(folder, 'x.erofs'), { signal });
  await kit.unpack(tree, rootfs.layers, join(folder, 'root'), { signal, allowLoss: true });
  await kit.copyImage(source, reference, await kit.OciLayout.open(join(folder, 'l'), { create: true }), '', { signal });
  const reason = new Error('enough');
  mine.abort(reason);
  for (const call of [
    () => kit.fetchImage(source, reference, { signal }),
    () => kit.flattenFile(tree, rootfs.layers, join(folder, 'y.tar'), { signal }),
    () => kit.writeErofs(tree, rootfs.layers, join(folder, 'y.erofs'), { signal }),
  ]) {
    await assert.rejects(call, (error) => error === reason);
  }
  await opened.close();
});
