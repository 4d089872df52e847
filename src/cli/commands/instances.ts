/** `rootfs instances REPO`: the manifests of a repository with size, tags and times. */
import { createRegistryClient } from '../../index.js';
import type { Command } from '../command.js';
import { clientOptions, jobsOf, REGISTRY_OPTIONS, registryWord } from '../options.js';
import { formatSize } from '../quantity.js';
import { table } from '../table.js';

/** The command. */
export const instances: Command = {
  positionals: [{ name: 'image', describe: 'A repository at a registry', required: true }],
  options: {
    jobs: { type: 'number', describe: 'Requests at once (default 6)', group: 'Registry:' },
    ...REGISTRY_OPTIONS,
  },
  examples: [['$0 instances ghcr.io/org/app', 'oldest first']],
  run: async (args, context) => {
    const repository = registryWord(args, 'image', 'IMAGE');
    const { signal, onProgress } = context;
    const client = createRegistryClient(await clientOptions(args, context));
    const found = [...(await client.listInstances(repository, { jobs: jobsOf(args), signal, onProgress })).values()];
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
