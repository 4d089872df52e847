/** `--all-tags`: a name without a tag stands for all of them. */
import { existsSync } from 'node:fs';
import { type OpenedSource, RootfsError, splitImage, splitTransport } from '../index.js';
import { cachePolicy } from './cache-options.js';
import type { Arguments } from './command.js';

/** The cache knows images, and not all the tags of a registry. @throws RootfsError `ERR_OPTION_INVALID` */
export function refuseCached(args: Arguments): void {
  if (cachePolicy(args) === undefined) return;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    '--all-tags asks the registry which there are; leave out --cache and --offline',
  );
}

/** What a source is called without a tag; of a registry's name `latest` is the tag where it has none. */
export function untagged({ name, source }: OpenedSource): string {
  const { place } = source as { readonly place?: unknown };
  return typeof place === 'string' && name.startsWith(`${place}:`) ? place : name;
}

/**
 * Refuses a name that has a tag or a digest, and a place that names one image of those in it.
 *
 * @param written Whether it is a destination: what a docker-archive calls its images goes without a tag then.
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_REFERENCE_INVALID`
 */
export function refuseTagged(text: string, written = false): void {
  const { transport, rest } = splitTransport(text);
  if (transport !== 'docker' && transport !== 'docker-daemon') {
    // As everywhere, a path that exists as it stands holds its colons itself.
    const colon = existsSync(rest) ? -1 : rest.indexOf(':');
    const name = colon < 0 ? '' : rest.slice(colon + 1);
    if (name === '' || (written && transport === 'docker-archive' && isUntagged(name))) return;
    throw new RootfsError('ERR_OPTION_INVALID', `${text}: with --all-tags a place has no tag; leave it out`);
  }
  if (isUntagged(rest)) return;
  throw new RootfsError('ERR_OPTION_INVALID', `${text}: with --all-tags a name has no tag and no digest; leave it out`);
}

function isUntagged(name: string): boolean {
  const { tag, digest } = splitImage(name);
  return tag === undefined && digest === undefined;
}
