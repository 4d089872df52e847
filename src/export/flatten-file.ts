/** The flattened tar as a file: complete or not there. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { wrapSystemError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { type FlattenOptions, flattenTo } from './flatten.js';
import type { Form } from './form.js';

/** What `flattenFile` wrote. */
export interface FlattenFileResult {
  /** Absolute path of the tar. */
  readonly path: string;
  readonly tarBytes: number;
}

/**
 * Writes the tar of `flatten` to a file. It is written beside and moved in place: a file of that name is replaced by a
 * complete tar or stays as it was.
 *
 * @throws RootfsError what `flattenTo` throws; the signal's reason
 */
export async function flattenFile(
  tree: MergedTree,
  layers: readonly LayerTar[],
  path: string,
  options: FlattenOptions = {},
): Promise<FlattenFileResult> {
  const target = resolve(path);
  const working = join(
    dirname(target),
    `.${basename(target).slice(0, 100)}.${process.pid}-${randomBytes(6).toString('hex')}`,
  );
  try {
    const fd = openSync(working, 'wx', 0o666);
    let tarBytes: number;
    try {
      tarBytes = await flattenTo(tree, layers, fd, options);
    } finally {
      closeSync(fd);
    }
    renameSync(working, target);
    return { path: target, tarBytes };
  } catch (error) {
    rmSync(working, { force: true });
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw wrapSystemError(error, target);
  }
}

/** The form `tar`: one file with everything. */
export const tarForm: Form = {
  name: 'tar',
  summary: 'one deterministic tar of the merged tree',
  makes: 'file',
  async write(input, dst, options) {
    const detail = await flattenFile(await input.tree(), input.layers, dst, options);
    return { form: 'tar', path: detail.path, detail };
  },
};
