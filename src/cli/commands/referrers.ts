/** `rootfs referrers IMAGE`: signatures, attestations and bills of material that name an image. */
import { createRegistryClient } from '../../index.js';
import type { Command } from '../command.js';
import { clientOptions, REGISTRY_OPTIONS, registryWord, text } from '../options.js';
import { printList } from '../print-list.js';

/** The command. */
export const referrers: Command = {
  positionals: [{ name: 'image', describe: 'An image at a registry', required: true }],
  options: {
    'artifact-type': { type: 'string', describe: 'Only those of this type', group: 'Referrers:' },
    ...REGISTRY_OPTIONS,
  },
  examples: [['$0 referrers registry.example/app:1', 'digest, type and size of each, one a line']],
  run: async (args, context) => {
    const image = registryWord(args, 'image', 'IMAGE');
    const client = createRegistryClient(await clientOptions(args, context));
    const list = client.referrers(image, { artifactType: text(args, 'artifact-type'), signal: context.signal });
    await printList(args, context, list, ({ digest, mediaType, artifactType, size }) =>
      [digest, artifactType ?? mediaType, size].join('\t'),
    );
    return undefined;
  },
};
