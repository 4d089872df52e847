/** What every command that works on layers does: the store they lie in, and a root file system opened from it. */
import { resolve } from 'node:path';
import type { Options } from 'yargs';
import { cacheFolder, type Image, type OpenedSource, openRootFS, type RootFS, withWorkingFolder } from '../index.js';
import type { Arguments, Context } from './command.js';
import { LAYER_OPTIONS, layerArguments } from './layer-options.js';
import { makeFolder } from './make-folder.js';
import { text } from './options.js';
import { inMade, removeMade } from './remove-made.js';

/** The option that names the store. */
export const STORE_OPTION: Options = {
  type: 'string',
  describe: 'Folder the layers are kept in (default ~/.cache/rootfs-kit/layers-v1)',
  group: 'Layers:',
};

/** Options of a command whose layers may be gone once it has ended. */
export const STORE_OPTIONS: Readonly<Record<string, Options>> = {
  store: STORE_OPTION,
  'no-store': { type: 'boolean', describe: 'Keep nothing: layers go into a temporary folder', group: 'Layers:' },
  ...LAYER_OPTIONS,
};

/** Options of a command whose result needs the layers later. */
export const KEPT_STORE_OPTIONS: Readonly<Record<string, Options>> = { store: STORE_OPTION, ...LAYER_OPTIONS };

/** The absolute path of the store that `--store` names, or of the default one. It is not made. */
export function keptStore(args: Arguments): string {
  const store = text(args, 'store');
  return store === undefined ? cacheFolder('layers-v1') : resolve(store);
}

/** The same of a command that takes `--no-store`, which is `store: false`: `undefined` then. */
export function storeFolder(args: Arguments): string | undefined {
  return args['store'] === false ? undefined : keptStore(args);
}

/**
 * Opens the layers of an image in the store, fetching what is missing, hands them to `use` and closes them.
 *
 * The store is made when it is missing. With `--no-store` it is a temporary folder, gone afterwards whatever happens:
 * success, failure or an interruption.
 *
 * @param use Also gets the store's absolute path.
 * @param later Whether what is made needs the layers later: then `--no-store` is no way out of a store that cannot be made.
 * @throws RootfsError `ERR_OPTION_INVALID`, what `makeFolder` and `openRootFS` throw, what `use` throws
 */
export async function withStore<T>(
  args: Arguments,
  context: Context,
  image: Image,
  opened: OpenedSource,
  use: (rootfs: RootFS, store: string) => Promise<T>,
  later = false,
): Promise<T> {
  const folder = storeFolder(args);
  const options = { ...layerArguments(args), signal: context.signal, onProgress: context.onProgress };
  const open = (store: string): Promise<RootFS> => openRootFS(opened.source, image, store, options);
  const withRootFS = async (rootfs: RootFS, store: string): Promise<T> => {
    try {
      return await use(rootfs, store);
    } finally {
      await rootfs.close();
    }
  };
  if (folder === undefined) {
    const inFolder = async (store: string): Promise<T> => withRootFS(await open(store), store);
    return withWorkingFolder(undefined, inFolder, 'set TMPDIR to a folder that can be written, or use --store');
  }
  const make = (): Promise<string | undefined> => makeStore(folder, args['store'] === undefined, later);
  const { value: rootfs, made } = await inMade(folder, make, () => open(folder));
  try {
    return await withRootFS(rootfs, folder);
  } catch (error) {
    if (made !== undefined) await removeMade(folder, made);
    throw error;
  }
}

async function makeStore(folder: string, isDefault: boolean, later: boolean): Promise<string | undefined> {
  // What this user pulled is nobody else's business, unless a folder was named.
  if (!isDefault) return makeFolder('--store', folder);
  const advice = `name another with --store${later ? '' : ', or keep nothing with --no-store'}`;
  return makeFolder('layer store', folder, 0o700, advice);
}
