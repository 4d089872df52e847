/** The image cache of commands that read an image: its options, and the source behind it. */
import type { Options } from 'yargs';
import { CachedRepository, cacheFolder, type OpenedSource, openImageCache, RootfsError } from '../index.js';
import type { Arguments, Context } from './command.js';
import { makeFolder } from './make-folder.js';
import { flag, text } from './options.js';

/** The options. Booleans: `--no-cache` is `--cache=false`. */
export const CACHE_OPTIONS: Readonly<Record<string, Options>> = {
  cache: {
    type: 'boolean',
    describe: 'Keep the image in the cache, take it from there (default off)',
    group: 'Cache:',
  },
  offline: { type: 'boolean', describe: 'Ask no registry; implies --cache', group: 'Cache:' },
  pull: {
    choices: ['missing', 'always'],
    describe: 'When --cache asks the registry what a tag means (default missing)',
    group: 'Cache:',
  },
};

/** No option names its folder. */
const CACHE_ADVICE = 'set XDG_CACHE_HOME to a folder that can be written, or leave out --cache';

/** Whether, and how, images go through the cache; `undefined` when they do not. @throws RootfsError `ERR_OPTION_INVALID` */
export function cachePolicy(args: Arguments): 'missing' | 'always' | 'never' | undefined {
  const cache = flag(args, 'cache');
  const offline = flag(args, 'offline') === true;
  const pull = text(args, 'pull');
  if (offline && cache === false) {
    throw new RootfsError('ERR_OPTION_INVALID', '--offline needs the cache; leave out --no-cache');
  }
  if (offline && pull === 'always') {
    throw new RootfsError('ERR_OPTION_INVALID', '--offline asks no registry; leave out --pull');
  }
  if (pull !== undefined && cache !== true && !offline) {
    throw new RootfsError('ERR_OPTION_INVALID', '--pull speaks of the cache; add --cache');
  }
  if (offline) return 'never';
  if (cache !== true) return undefined;
  return pull === 'always' ? 'always' : 'missing';
}

/** A registry's image through the cache, where that was asked for. Local sources are read as they are. */
export async function throughCache(opened: OpenedSource, args: Arguments, context: Context): Promise<OpenedSource> {
  const pull = cachePolicy(args);
  if (pull === undefined || opened.transport !== 'docker') return opened;
  try {
    const { signal, onProgress } = context;
    if (pull !== 'never') await makeFolder('image cache', cacheFolder('images-v1'), 0o700, CACHE_ADVICE);
    const remoteRepository = (): OpenedSource['source'] => opened.source;
    const cache = await openImageCache({ pull, fill: 'content', remoteRepository, signal, onProgress });
    const close = async (): Promise<void> => {
      await cache.close();
      await opened.close();
    };
    return { ...opened, source: new CachedRepository(cache, opened.name), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await opened.close();
    throw error;
  }
}
