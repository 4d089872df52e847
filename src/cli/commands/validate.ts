/** `rootfs validate IMAGE`: every byte of an image checked, and what its layers unpack to; nothing kept. */
import { validateImage } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, platformOrAll, withSource } from '../image.js';
import { LIMIT_OPTIONS, limitArguments } from '../layer-options.js';
import { flag, jobsOf } from '../options.js';
import { formatCount, formatSize } from '../quantity.js';

/** The command. */
export const validate: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    jobs: { type: 'number', describe: 'Blobs read at once (default 6)', group: 'Image:' },
    'digests-only': {
      type: 'boolean',
      describe: 'Look neither into configs nor into layers: bytes against digests',
      group: 'Image:',
    },
    ...LIMIT_OPTIONS,
    ...IMAGE_OPTIONS,
    platform: { type: 'string', describe: 'Only os/arch[/variant], or all (default all)', group: 'Image:' },
  },
  examples: [['$0 validate oci:./layout:12', 'exit code 5 where a byte, a diffID or a tar is wrong']],
  run: async (args, context) => {
    const asked = platformOrAll(args);
    const platform = asked === 'all' ? undefined : asked;
    const jobs = jobsOf(args);
    const { signal, onProgress } = context;
    await withSource(args, context, {}, async (opened) => {
      const valid = await validateImage(opened.source, opened.reference, {
        ...{ platform, jobs, signal, onProgress },
        ...limitArguments(args),
        digestsOnly: flag(args, 'digests-only') === true,
      });
      context.endProgress();
      const { descriptor, manifests, blobs, bytes } = valid;
      context.note(
        `rootfs: ${formatCount(manifests, 'manifest')} and ${formatCount(blobs, 'blob')} (${formatSize(bytes)}) are sound: ${opened.name}`,
      );
      await context.write(
        args['json'] === true
          ? `${JSON.stringify({ reference: opened.name, digest: descriptor.digest, manifests, blobs, bytes })}\n`
          : `${descriptor.digest}\n`,
      );
    });
    return undefined;
  },
};
