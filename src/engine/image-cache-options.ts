/** What an image cache is made with. */
import type { Target } from '../content/content.js';
import { RootfsError } from '../errors.js';
import type { Digest } from '../spec/digest.js';
import type { Platform } from '../spec/platform.js';
import type { RepositoryFactory } from './remotes.js';

/** When a registry is asked what a tag means: only where the cache does not know, each time, or not at all. */
export type PullPolicy = 'missing' | 'always' | 'never';

/** Options of an `ImageCache`. */
export interface ImageCacheOptions {
  /**
   * Where images are kept; `null` keeps nothing. Default: the OCI layout in `$XDG_CACHE_HOME/rootfs-kit/images-v1`, which
   * is opened when it is first needed, with its own `lockFolder` and `keeper`.
   */
  readonly localStore?: Target | null | undefined;
  /** Resolves an index to this platform's image. Absent: a name means what it means in the registry. */
  readonly targetPlatform?: Platform | string | undefined;
  /** Default: the registry, with the credentials, mirrors and certificates that are configured on this machine. */
  readonly remoteRepository?: RepositoryFactory | undefined;
  /** Default `'missing'`. */
  readonly pull?: PullPolicy | undefined;
  /**
   * What fetching a resolved image brings into the store: the whole image (default), or only what is asked for, so
   * that looking at an image costs no layers.
   */
  readonly fill?: 'image' | 'content' | undefined;
  /** A folder for locks between processes that share the store; `openImageCache` has one. */
  readonly lockFolder?: string | undefined;
  /** Hears which images are used, so that nobody removes them meanwhile; `openImageCache` has one. */
  readonly keeper?: ImageKeeper | undefined;
  /** Transfers at once, 1 to 64; 6 when absent. */
  readonly jobs?: number | undefined;
}

/** Keeps images that are in use from being removed. */
export interface ImageKeeper {
  /** Content that is used from now on. When this is done, it is not being removed. */
  use(root: Digest): Promise<void>;
  /** Nothing is used any more. */
  close(): Promise<void>;
}

/** Checks what types cannot. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkImageCacheOptions(options: ImageCacheOptions): void {
  const { pull = 'missing', fill = 'image', jobs = 6 } = options;
  oneOf('pull', pull, ['missing', 'always', 'never']);
  oneOf('fill', fill, ['image', 'content']);
  if (!Number.isSafeInteger(jobs) || jobs < 1 || jobs > 64) throw invalid('jobs', jobs, 'a whole number from 1 to 64');
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw invalid(name, value, allowed.join(', '));
}

function invalid(name: string, value: unknown, expected: string): RootfsError {
  return new RootfsError('ERR_OPTION_INVALID', `${name}: ${JSON.stringify(value)} cannot be used; give ${expected}`, {
    detail: { option: name },
  });
}
