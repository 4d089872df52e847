/** What every command that reads an image does first: open the source, fetch what stands above the layers. */
import type { Options } from 'yargs';
import {
  fetchImage,
  hostPlatform,
  type Image,
  type OpenedSource,
  type OpenOptions,
  openSource,
  type Platform,
  parsePlatform,
} from '../index.js';
import { CACHE_OPTIONS, cachePolicy, throughCache } from './cache-options.js';
import type { Arguments, Context } from './command.js';
import { layerArguments } from './layer-options.js';
import { flag, PLATFORM_OPTIONS, platformText, REGISTRY_OPTIONS, registryArguments, required } from './options.js';

/** Options of every command that reads an image. */
export const IMAGE_OPTIONS: Readonly<Record<string, Options>> = {
  ...PLATFORM_OPTIONS,
  ...CACHE_OPTIONS,
  ...REGISTRY_OPTIONS,
};

/** The positional argument IMAGE. */
export const IMAGE_POSITIONAL = {
  name: 'image',
  describe: 'A registry reference or a local source',
  required: true,
} as const;

/** The platform that was asked for; `undefined` when none was. */
export function platformOf(args: Arguments): Platform | undefined {
  const host = hostPlatform();
  const text = platformText(args, host.os, host.architecture);
  return text === undefined ? undefined : parsePlatform(text);
}

/** The same for commands that take every platform there is, by the name `all`. */
export function platformOrAll(args: Arguments): Platform | 'all' | undefined {
  return platformText(args, '', '') === 'all' ? 'all' : platformOf(args);
}

/**
 * Opens the source that IMAGE names, hands it to `use`, closes it.
 *
 * @param more What the command wants beside what is said.
 */
export async function withSource<T>(
  args: Arguments,
  context: Context,
  more: Pick<OpenOptions, 'allTags' | 'mirrors'>,
  use: (opened: OpenedSource) => Promise<T>,
): Promise<T> {
  const text = required(args, 'image', 'IMAGE');
  const { signal, onProgress } = context;
  cachePolicy(args);
  const source = await openSource(text, {
    ...(await registryArguments(args, signal)),
    askUrls: flag(args, 'offline') !== true,
    ...more,
    signal,
    onProgress,
  });
  const opened = await throughCache(source, args, context);
  try {
    return await use(opened);
  } finally {
    await opened.close();
  }
}

/** Opens the source, fetches the image for the platform asked for, hands both to `use`, closes the source. */
export async function withImage<T>(
  args: Arguments,
  context: Context,
  use: (image: Image, opened: OpenedSource) => Promise<T>,
): Promise<T> {
  const platform = platformOf(args);
  // A mistyped option is told before a registry is asked.
  layerArguments(args);
  return withSource(args, context, {}, async (opened) => {
    const { signal, onProgress } = context;
    return use(await fetchImage(opened.source, opened.reference, { platform, signal, onProgress }), opened);
  });
}

/** The name at the registry, also where the image comes out of the cache. Other sources know the names they keep. */
export function ownName({ transport, name }: OpenedSource): string | undefined {
  return transport === 'docker' ? name : undefined;
}
