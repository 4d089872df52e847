/** The flattened tar as a file: complete or not there. */
import { closeSync, openSync, renameSync, type Stats, statSync } from 'node:fs';
import { outputPlace } from '../content/output-place.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { loadNative } from '../io/native.js';
import { openFifo } from '../io/open-fifo.js';
import { removeWhatCanBe } from '../io/remove-tree.js';
import type { LayerTar } from '../rootfs/merge.js';
import { requireLayers } from '../rootfs/require-merged.js';
import type { MergedTree } from '../rootfs/tree.js';
import { FileOutput } from './file-output.js';
import { type FlattenOptions, latestTime } from './flatten-options.js';
import type { Form } from './form.js';
import { choosesPaths } from './path-filter.js';
import { DirectOutput, type TarOutput } from './tar-output.js';
import { workingPath } from './working-name.js';
import { writeMembers } from './write-members.js';

/** From this length of the layers on, in bytes, another thread helps. */
const ASIDE_MIN_BYTES = 4 * 1024 * 1024;

/** What `flattenFile` wrote. */
export interface FlattenFileResult {
  /** Absolute path of the tar. */
  readonly path: string;
  readonly tarBytes: number;
}

/** A merged tree, or what makes it: then the file is got ready meanwhile. */
export type TreeSource = MergedTree | (() => Promise<MergedTree>);

/**
 * Writes the tar of `flatten` to a file. It is written beside and moved in place: a file of that name is replaced by a
 * complete tar or stays as it was. A link to a file is followed, also where that is not there yet; into a device or a
 * pipe the tar is written as it is, and what was written before a failure stays written.
 *
 * Meanwhile the file may hold up to 384 MiB of room more than it needs, no more than half of the layers' length.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (a folder), `ERR_NOT_FOUND` (its folder is missing), what `flattenTo`
 *   throws, what making the tree throws; the signal's reason
 */
export async function flattenFile(
  tree: TreeSource,
  layers: readonly LayerTar[],
  path: string,
  options: FlattenOptions = {},
): Promise<FlattenFileResult> {
  const absolute = absolutePath(path, 'path');
  requireLayers(layers);
  let working: string | undefined;
  try {
    const found = statIfThere(absolute);
    if (found?.isDirectory() === true) {
      throw new RootfsError('ERR_OPTION_INVALID', `${absolute}: a folder; name a file`);
    }
    if (found?.isFile() === false) {
      const fd = found.isFIFO() ? await openFifo(absolute, options.signal) : openSync(absolute, 'w');
      const output = new DirectOutput(fd, options.signal);
      return { path: absolute, tarBytes: await intoFile(tree, layers, fd, output, options) };
    }
    // The file that a link names is made where there is none; the link stays.
    const { path: target } = await outputPlace(absolute);
    working = workingPath(target);
    const fd = openSync(working, 'wx', 0o666);
    const tarBytes = await intoFile(tree, layers, fd, fileOutput(fd, layers, options.signal), options);
    renameSync(working, target);
    return { path: absolute, tarBytes };
  } catch (error) {
    if (working !== undefined) removeWhatCanBe(working);
    if (options.signal?.aborted === true) throw options.signal.reason;
    // What making the tree threw is the caller's own.
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, absolute);
  }
}

const bytesOf = (layers: readonly LayerTar[]): number => layers.reduce((sum, { tarBytes }) => sum + tarBytes, 0);

function fileOutput(fd: number, layers: readonly LayerTar[], signal: AbortSignal | undefined): TarOutput {
  const mostBytes = bytesOf(layers);
  const aside = mostBytes >= ASIDE_MIN_BYTES && loadNative() !== undefined;
  return aside ? new FileOutput(fd, mostBytes, signal) : new DirectOutput(fd, signal);
}

/** `throwIfNoEntry: false` takes what would lie below a file for absent too since Node 22, and Node 20 does not. */
function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function intoFile(
  tree: TreeSource,
  layers: readonly LayerTar[],
  fd: number,
  output: TarOutput,
  options: FlattenOptions,
): Promise<number> {
  try {
    const made = typeof tree === 'function' ? await tree() : tree;
    // How much a filter leaves is known when it is written.
    const all = !choosesPaths(options);
    if (all && output instanceof FileOutput) output.expect(Math.min(made.dataBytes, bytesOf(layers)));
    return await writeMembers(made, layers, output, options);
  } finally {
    await output.stop();
    closeSync(fd);
  }
}

/** The form `tar`: one file with everything. */
export const tarForm: Form = {
  name: 'tar',
  summary: 'one deterministic tar of the merged tree',
  makes: 'file',
  variant: () => {
    const latest = latestTime();
    return Number.isFinite(latest) ? `epoch-${latest}` : undefined;
  },
  async write(input, dst, options) {
    const detail = await flattenFile(() => input.tree(), input.layers, dst, options);
    return { form: 'tar', path: detail.path, detail };
  },
};
