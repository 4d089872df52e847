/** The flattened tar as a file: complete or not there. */
import { closeSync, openSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { RootfsError, wrapSystemError } from '../errors.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { flattenTo } from './flatten.js';
import type { FlattenOptions } from './flatten-options.js';
import type { Form } from './form.js';
import { workingPath } from './working-name.js';

/** What `flattenFile` wrote. */
export interface FlattenFileResult {
  /** Absolute path of the tar. */
  readonly path: string;
  readonly tarBytes: number;
}

/**
 * Writes the tar of `flatten` to a file. It is written beside and moved in place: a file of that name is replaced by a
 * complete tar or stays as it was. A link to a file is followed; into a device or a pipe the tar is written as it is,
 * and what was written before a failure stays written.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (a folder), `ERR_NOT_FOUND` (its folder is missing), what `flattenTo`
 *   throws; the signal's reason
 */
export async function flattenFile(
  tree: MergedTree,
  layers: readonly LayerTar[],
  path: string,
  options: FlattenOptions = {},
): Promise<FlattenFileResult> {
  const absolute = resolve(path);
  let working: string | undefined;
  try {
    const found = statSync(absolute, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) {
      throw new RootfsError('ERR_OPTION_INVALID', `${absolute}: a folder; name a file`);
    }
    if (found?.isFile() === false) {
      return { path: absolute, tarBytes: await intoFile(tree, layers, openSync(absolute, 'w'), options) };
    }
    const target = found === undefined ? absolute : realpathSync(absolute);
    if (statSync(dirname(target), { throwIfNoEntry: false }) === undefined) {
      throw new RootfsError('ERR_NOT_FOUND', `${dirname(target)}: there is no such folder; make it first`);
    }
    working = workingPath(target);
    const tarBytes = await intoFile(tree, layers, openSync(working, 'wx', 0o666), options);
    renameSync(working, target);
    return { path: absolute, tarBytes };
  } catch (error) {
    if (working !== undefined) rmSync(working, { force: true });
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw wrapSystemError(error, absolute);
  }
}

async function intoFile(
  tree: MergedTree,
  layers: readonly LayerTar[],
  fd: number,
  options: FlattenOptions,
): Promise<number> {
  try {
    return await flattenTo(tree, layers, fd, options);
  } finally {
    closeSync(fd);
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
