/** `rootfs tags REPO`: the tags of a repository or a local source. */
import type { TagLister } from '../../index.js';
import type { Command } from '../command.js';
import { withSource } from '../image.js';
import { REGISTRY_OPTIONS } from '../options.js';
import { printList } from '../print-list.js';

/** The command. */
export const tags: Command = {
  positionals: [{ name: 'image', describe: 'A repository or a local source', required: true }],
  options: REGISTRY_OPTIONS,
  examples: [
    ['$0 tags debian', 'one tag a line'],
    ['$0 tags docker-archive:images.tar', 'the names in an archive'],
  ],
  run: async (args, context) => {
    await withSource(args, context, { allTags: true }, async (opened) => {
      const lister = opened.source as Partial<TagLister>;
      // A form that holds one image has no name for it.
      if (lister.tags === undefined) await opened.source.resolve(opened.reference, { signal: context.signal });
      await printList(
        args,
        context,
        lister.tags?.({ signal: context.signal, onProgress: context.onProgress }) ?? [],
        (tag) => tag,
      );
    });
    return undefined;
  },
};
