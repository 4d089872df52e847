import assert from 'node:assert/strict';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { flattenFile } from '../../src/export/flatten-file.js';
import type { FormInput } from '../../src/export/form.js';
import { FORMS, findForm } from '../../src/export/forms.js';
import { mergeLayers } from '../../src/rootfs/merge.js';
import { LayerBuilder } from '../../src/testing/layer-builder.js';
import { configImage } from '../support/config-image.js';
import { mergeBuilt, writeLayers } from '../support/layers.js';
import { tempDir } from '../support/temp-dir.js';

for (const form of FORMS) {
  test(`form ${form.name} makes a ${form.makes} where it was told to`, async (t) => {
    const folder = tempDir(t);
    const layers = writeLayers(
      folder,
      new LayerBuilder().file('a', 'a'),
      new LayerBuilder().whiteout('a').file('b', 'b'),
    );
    const input: FormInput = { image: configImage({ Cmd: ['sh'] }), layers, tree: () => mergeLayers(layers) };
    const dst = join(folder, 'out');
    const result = await form.write(input, dst, {});
    assert.deepEqual([result.form, result.path], [form.name, dst]);
    assert.equal(lstatSync(dst).isDirectory() ? 'directory' : 'file', form.makes);
    assert.equal(findForm(form.name), form);
  });
}

test('a form that is not there is refused with the names of those that are', () => {
  assert.throws(() => findForm('zip'), { code: 'ERR_OPTION_INVALID', message: /directory, tar, overlay, bundle/ });
});

test('a tar that cannot be completed is not there, and an older one stays', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = await mergeBuilt(folder, new LayerBuilder().file('a', 'a'));
  const path = join(folder, 'out.tar');
  const { tarBytes } = await flattenFile(tree, layers, path);
  assert.equal(lstatSync(path).size, tarBytes);
  const gone = [{ path: join(folder, 'no'), tarBytes: 1 }];
  await assert.rejects(flattenFile(tree, gone, path), { code: 'ERR_NOT_FOUND' });
  await assert.rejects(flattenFile(tree, layers, join(folder, 'no', 'where')), { code: 'ERR_NOT_FOUND' });
  assert.deepEqual(readdirSync(folder).sort(), ['layer-0.tar', 'out.tar']);
  assert.equal(lstatSync(path).size, tarBytes);
});
