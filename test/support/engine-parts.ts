/** What tests of engine verbs start from: a registry, an image, and the default parts in a folder of their own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type EngineStores, openEngineStores } from '../../src/engine/open-engine-stores.js';
import {
  type BuiltImage,
  image,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from '../../src/testing/testing.js';
import { tempDir } from './temp-dir.js';

/** An image of several layers whose content is named after it. */
export function engineImage(name = 'app', layers = 3): BuiltImage {
  const builder = image()
    .platform('linux/amd64')
    .config({ Cmd: [name] });
  for (let at = 0; at < layers; at += 1) {
    builder.layer((layer) => layer.dir('data').file(`data/${at}`, Buffer.alloc(30_000 + at, `${name} ${at}`)));
  }
  return builder.build();
}

/** A registry that ends with the test. */
export async function engineRegistry(t: TestContext, options: RegistryOptions = {}): Promise<TestRegistry> {
  const registry = await startRegistry(options);
  t.after(() => registry.close());
  return registry;
}

/** The default parts in a new folder, with the host's platform set to that of `engineImage`. */
export async function engineParts(
  t: TestContext,
): Promise<EngineStores & { readonly platform: string; readonly folder: string }> {
  const folder = tempDir(t, 'engine');
  return { ...(await openEngineStores({ folder })), platform: 'linux/amd64', folder };
}

/** The layers of an image as they lie in the default store of `engineParts`, base first. */
export function layerTarsOf(folder: string, app: BuiltImage): Buffer[] {
  return app.layers.map(({ diffId }) => readFileSync(join(folder, 'layers', diffId.replace(':', '/'))));
}

/** Makes the folder for temporaries one of this test's own until it ends, so that what is left there can be seen. */
export function ownTemporaryFolder(t: TestContext): string {
  const before = process.env['TMPDIR'];
  const folder = tempDir(t, 'temporary');
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  return folder;
}
