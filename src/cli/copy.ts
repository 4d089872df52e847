/** What `copy` and `push` share: two places opened, one image copied, one line told. */
import type { Options } from 'yargs';
import {
  type CopiedTag,
  type CopyResult,
  isStream,
  type OpenedSource,
  openDestination,
  openSource,
  RootfsError,
  splitTransport,
} from '../index.js';
import { refuseCached, refuseTagged, untagged } from './all-tags.js';
import { CACHE_OPTIONS, cachePolicy, throughCache } from './cache-options.js';
import type { Arguments, Context } from './command.js';
import { ownName, platformOrAll } from './image.js';
import { flag, jobsOf, PLATFORM_OPTIONS, REGISTRY_OPTIONS, text } from './options.js';
import { formatCount, formatSize, parseSize } from './quantity.js';
import { stdoutPlace } from './stdout-place.js';
import { adviseSide, registryOf, SIDE_OPTIONS, sideArguments } from './two-sides.js';

/** Options of commands that copy. */
export const COPY_OPTIONS: Readonly<Record<string, Options>> = {
  ...PLATFORM_OPTIONS,
  platform: {
    type: 'string',
    describe:
      'Only the image for os/arch[/variant], or all; default: all there are, in archives and dir: the one for this machine',
    group: 'Image:',
  },
  'all-tags': {
    alias: 'a',
    type: 'boolean',
    describe: 'Everything that has a tag, each under its tag',
    group: 'Copy:',
  },
  jobs: { type: 'number', describe: 'Blobs on their way at once (default 6)', group: 'Copy:' },
  'upload-chunk': {
    type: 'string',
    describe: 'Upload in pieces of this size, 64KiB or more, for proxies that limit a body; default: in one',
    group: 'Copy:',
  },
  'mount-from': {
    type: 'string',
    describe: "Repository of the destination's registry that has the blobs already",
    group: 'Copy:',
  },
  ...CACHE_OPTIONS,
  ...REGISTRY_OPTIONS,
  ...SIDE_OPTIONS,
};

/** Copies and tells what was done: on stdout the digest that the destination's name points at now. */
export async function copyBetween(args: Arguments, context: Context, from: string, place: string): Promise<void> {
  const { signal, onProgress } = context;
  const to = stdoutPlace(place);
  const platform = platformOrAll(args);
  const jobs = jobsOf(args);
  const mountFrom = withoutRegistry(text(args, 'mount-from'), to);
  const all = flag(args, 'all-tags') === true;
  const piece = text(args, 'upload-chunk');
  const uploadChunkBytes = piece === undefined ? undefined : parseSize('upload-chunk', piece);
  if (uploadChunkBytes !== undefined && (uploadChunkBytes < 64 * 1024 || uploadChunkBytes >= 2 ** 31)) {
    throw new RootfsError('ERR_OPTION_INVALID', `--upload-chunk ${piece}: give a size of 64KiB or more, below 2GiB`);
  }
  if (isStream(to)) requireFreeStdout(to, args);
  refuseRegistryOptions(args, to);
  if (all) {
    refuseTagged(from);
    refuseTagged(to, true);
    refuseCached(args);
  }
  const sides = await sideArguments(args, from, to, context.signal);
  cachePolicy(args);
  const opened = await throughCache(
    await openSource(from, { ...sides.src, askUrls: flag(args, 'offline') !== true, allTags: all, signal, onProgress }),
    args,
    context,
  );
  try {
    const destination = await openDestination(to, { ...sides.dest, uploadChunkBytes, signal, onProgress });
    try {
      const options = { platform, jobs, mountFrom, signal, onProgress, write: context.write };
      const results = all
        ? await destination.copyAllFrom(opened.source, options)
        : [
            {
              destination: destination.name,
              ...(await destination.copyFrom(opened.source, opened.reference, { ...options, name: ownName(opened) })),
            },
          ];
      context.endProgress();
      for (const result of results) context.note(`rootfs: ${summary(result)}: ${result.destination}`);
      // The archive itself is on stdout then.
      if (isStream(to)) return;
      const told = results.map((result) => describe(result, all ? named(opened, result) : opened.name));
      if (args['json'] === true) await context.write(`${JSON.stringify(all ? told : told[0])}\n`);
      else await context.write(results.map(({ descriptor }) => `${descriptor.digest}\n`).join(''));
    } finally {
      await destination.close();
    }
  } catch (error) {
    throw adviseSide(error, from, to);
  } finally {
    await opened.close();
  }
}

/** What one of several was copied from; an archive takes them all at once. */
function named(opened: OpenedSource, result: object): string {
  const { reference = '' } = result as Partial<CopiedTag>;
  const place = untagged(opened);
  if (reference === '') return place;
  // An engine names images in full, behind no place.
  return opened.transport === 'docker-daemon' ? `docker-daemon:${reference}` : `${place}:${reference}`;
}

function describe(
  { descriptor, source: target, destination, reference: _reference, ...rest }: CopyResult & Partial<CopiedTag>,
  source: string,
): object {
  const { digest, mediaType, size } = descriptor;
  return { source, sourceDigest: target.digest, destination, digest, mediaType, size, ...rest };
}

/** The repository alone, where it was named with the destination's registry before it. */
function withoutRegistry(repository: string | undefined, to: string): string | undefined {
  if (repository === undefined) return undefined;
  const registry = registryOf(to);
  const isNamed = registry !== undefined && repository.startsWith(`${registry}/`);
  return isNamed ? repository.slice(registry.length + 1) : repository;
}

/** What is said of uploads would be without effect where nothing is uploaded. @throws RootfsError `ERR_OPTION_INVALID` */
function refuseRegistryOptions(args: Arguments, to: string): void {
  const name = ['upload-chunk', 'mount-from'].find((one) => args[one] !== undefined);
  if (name === undefined || splitTransport(to).transport === 'docker') return;
  throw new RootfsError('ERR_OPTION_INVALID', `--${name} speaks of a registry, and ${to} is none; leave it out`);
}

/** An archive on a terminal helps nobody, nor one with JSON behind it. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireFreeStdout(what: string, args: Arguments): void {
  if (process.stdout.isTTY) {
    throw new RootfsError('ERR_OPTION_INVALID', `${what}: stdout is a terminal; redirect it, or name a file`);
  }
  if (args['json'] === true) {
    throw new RootfsError('ERR_OPTION_INVALID', `${what}: --json and the archive cannot share stdout; name a file`);
  }
}

/** What was done, for people. */
export function summary(result: CopyResult): string {
  const parts = [`${formatCount(result.copiedBlobs, 'blob')} copied (${formatSize(result.copiedBytes)})`];
  if (result.presentBlobs > 0) parts.push(`${result.presentBlobs} ${result.presentBlobs === 1 ? 'was' : 'were'} there`);
  if (result.mountedBlobs > 0) parts.push(`${result.mountedBlobs} mounted`);
  if (result.foreignBlobs > 0) parts.push(`${formatCount(result.foreignBlobs, 'foreign layer')} left out`);
  return parts.join(', ');
}
