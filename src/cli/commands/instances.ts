/** `rootfs instances REPO`: the images of a repository or a local source with size, tags and times. */
import { listInstances } from '../../index.js';
import type { Command } from '../command.js';
import { withSource } from '../image.js';
import { jobsOf, REGISTRY_OPTIONS } from '../options.js';
import { formatSize } from '../quantity.js';
import { table } from '../table.js';

/** The command. */
export const instances: Command = {
  positionals: [{ name: 'image', describe: 'A repository or a local source', required: true }],
  options: {
    jobs: { type: 'number', describe: 'Requests at once (default 6)', group: 'Registry:' },
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['$0 instances ghcr.io/org/app', 'oldest first'],
    ['$0 instances oci:images', 'also those that have no tag there'],
  ],
  run: async (args, context) => {
    const { signal, onProgress } = context;
    const jobs = jobsOf(args);
    const found = await withSource(args, context, { allTags: true }, async ({ source }) => [
      ...(await listInstances(source, { jobs, signal, onProgress })).values(),
    ]);
    context.endProgress();
    if (args['json'] === true) {
      await context.write(`${JSON.stringify(found)}\n`);
      return undefined;
    }
    const rows = found.map(({ digest, size, created, uploaded, tags }) => [
      digest,
      formatSize(size),
      created?.toISOString() ?? '-',
      uploaded?.toISOString() ?? '-',
      tags.join(' '),
    ]);
    await context.write(table([['DIGEST', 'SIZE', 'CREATED', 'UPLOADED', 'TAGS'], ...rows], [1]));
    return undefined;
  },
};
