/** `rootfs tags REPO`: the tags of a repository, a layout or an archive. */
import { RootfsError, type TagLister } from '../../index.js';
import type { Command } from '../command.js';
import { openImageSource } from '../image.js';
import { REGISTRY_OPTIONS } from '../options.js';
import { printList } from '../print-list.js';

/** The command. */
export const tags: Command = {
  positionals: [{ name: 'image', describe: 'A repository, a layout or an archive', required: true }],
  options: REGISTRY_OPTIONS,
  examples: [
    ['$0 tags debian', 'one tag a line'],
    ['$0 tags docker-archive:images.tar', 'the names in an archive'],
  ],
  run: async (args, context) => {
    const opened = await openImageSource(args, context);
    try {
      const lister = opened.source as Partial<TagLister>;
      if (lister.tags === undefined) {
        throw new RootfsError(
          'ERR_UNSUPPORTED',
          `${opened.name}: ${opened.transport}: has no tags; it holds one image`,
        );
      }
      await printList(
        args,
        context,
        lister.tags({ signal: context.signal, onProgress: context.onProgress }),
        (tag) => tag,
      );
    } finally {
      await opened.close();
    }
    return undefined;
  },
};
