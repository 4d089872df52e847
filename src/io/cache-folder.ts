/** Where this user's caches lie when nobody says otherwise. Knows the environment; touches no file. */
import { isAbsolute, join } from 'node:path';
import { systemHome } from './system-home.js';

/** The caches there are; a change of format is a new name. */
export type CacheName = 'layers-v1' | 'images-v1' | 'engine-v1';

/** What decides where caches lie. All of it is the process's own unless given. */
export interface CachePlaceOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** The home folder; default `HOME` of `env`, else the system's answer. */
  readonly home?: string | undefined;
}

/**
 * The default folder of a cache: `$XDG_CACHE_HOME/rootfs-kit/<name>`, under `~/.cache` where that is not set or, as the
 * specification asks, not absolute. It need not exist.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/0.8/
 */
export function cacheFolder(name: CacheName, { env = process.env, home }: CachePlaceOptions = {}): string {
  const set = env['XDG_CACHE_HOME'];
  const own = home ?? (env['HOME'] || systemHome());
  const base = set !== undefined && isAbsolute(set) ? set : join(own, '.cache');
  return join(base, 'rootfs-kit', name);
}
