/** `rootfs referrers IMAGE`: signatures, attestations and bills of material that name an image. */
import { findReferrers } from '../../index.js';
import type { Command } from '../command.js';
import { withSource } from '../image.js';
import { REGISTRY_OPTIONS, text } from '../options.js';
import { printList } from '../print-list.js';

/** The command. */
export const referrers: Command = {
  positionals: [{ name: 'image', describe: 'A registry reference or a local source', required: true }],
  options: {
    'artifact-type': { type: 'string', describe: 'Only those of this type', group: 'Referrers:' },
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['$0 referrers registry.example/app:1', 'digest, type and size of each, one a line'],
    ['$0 referrers oci:images:app', 'of all that lies in the same layout'],
  ],
  run: async (args, context) => {
    const artifactType = text(args, 'artifact-type');
    const { signal, onProgress } = context;
    await withSource(args, context, {}, async (opened) => {
      // Forms that hold one image hold nothing that refers to it.
      const list = findReferrers(opened.source, opened.reference, { artifactType, signal, onProgress });
      await printList(args, context, list, ({ digest, mediaType, artifactType: type, size }) =>
        [digest, type ?? mediaType, size].join('\t'),
      );
    });
    return undefined;
  },
};
