/** `rootfs pull IMAGE -o FILE.tar[.gz]`: an image as an archive for `docker load` and its kin. */
import { pullAllTags, pull as pullImage, RootfsError, splitImage, splitTransport } from '../../index.js';
import { refuseCached, refuseTagged, untagged } from '../all-tags.js';
import type { Command } from '../command.js';
import { requireFreeStdout, summary } from '../copy.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, ownName, platformOf, withSource } from '../image.js';
import { flag, jobsOf, text } from '../options.js';
import { requireFilePlace } from '../require-file-place.js';
import { stdoutPlace } from '../stdout-place.js';

/** `-o` takes a path. A prefix would become a part of the file's name. */
function refusePrefix(output: string): void {
  const { transport, rest } = splitTransport(output);
  if (transport === 'docker' && !output.startsWith('docker://')) return;
  const advice = transport === 'docker-archive' ? `-o ${rest}` : `rootfs copy IMAGE ${output}`;
  throw new RootfsError('ERR_OPTION_INVALID', `--output ${output}: a path belongs here; try ${advice}`);
}

/** What has a digest alone would be there without a name. */
function refuseDigest(name: string): void {
  if (splitImage(name).digest === undefined) return;
  throw new RootfsError(
    'ERR_REFERENCE_INVALID',
    `--name ${name}: an archive names images by tags; leave the digest out`,
  );
}

/** The command. */
export const pull: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    output: {
      alias: 'o',
      type: 'string',
      describe: 'FILE.tar or FILE.tar.gz, a folder, or - for stdout; default ./<name>_<tag>_<arch>_<os>.tar.gz',
      group: 'Archive:',
    },
    name: { type: 'string', describe: 'What the image is called in the archive', group: 'Archive:' },
    'all-tags': {
      alias: 'a',
      type: 'boolean',
      describe: 'All tags of a repository, in one archive',
      group: 'Archive:',
    },
    fsync: { choices: ['layer', 'none'], default: 'layer', describe: 'Durability of the archive', group: 'Archive:' },
    jobs: { type: 'number', describe: 'Blobs fetched at once (default 6)', group: 'Archive:' },
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 pull -o debian.tar debian:12', 'then podman load -i debian.tar'],
    ['$0 pull --platform linux/arm64 alpine', 'alpine_latest_arm64_linux.tar.gz'],
    ['$0 pull -o - alpine | ssh host docker load', 'without a file'],
  ],
  run: async (args, context) => {
    const output = stdoutPlace(text(args, 'output') ?? '.');
    const name = text(args, 'name');
    const all = flag(args, 'all-tags') === true;
    if (output === '-') requireFreeStdout('--output -', args);
    refusePrefix(output);
    if (output !== '-') requireFilePlace(output, 'place');
    if (all) {
      refuseTagged(String(args['image']));
      refuseCached(args);
    }
    if (name !== undefined) refuseDigest(name);
    if (all && name !== undefined) throw new RootfsError('ERR_OPTION_INVALID', '--name names one image; leave it out');
    const options = {
      platform: platformOf(args),
      jobs: jobsOf(args),
      fsync: args['fsync'] === 'none' ? 'none' : 'layer',
      signal: context.signal,
      onProgress: context.onProgress,
      write: context.write,
    } as const;
    await withSource(args, context, { allTags: all }, async (opened) => {
      const result = all
        ? await pullAllTags(opened.source, output, options)
        : await pullImage(opened.source, opened.reference, output, { ...options, name: name ?? ownName(opened) });
      context.endProgress();
      context.note(`rootfs: ${summary(result)}: ${result.path}`);
      if (result.path === '-') return undefined;
      const { digest } = result.descriptor;
      await context.write(
        args['json'] === true
          ? `${JSON.stringify({ reference: all ? untagged(opened) : opened.name, digest, path: result.path, blobs: result.copiedBlobs, bytes: result.copiedBytes })}\n`
          : `${result.path}\n`,
      );
    });
    return undefined;
  },
};
