/** `rootfs tag IMAGE NEWTAG`: another tag for an image, in its repository or layout. */
import { fetchDescriptor, RootfsError, splitTransport, type Tagger } from '../../index.js';
import type { Command } from '../command.js';
import { withSource } from '../image.js';
import { REGISTRY_OPTIONS, required } from '../options.js';

/** The command. */
export const tag: Command = {
  positionals: [
    { name: 'image', describe: 'An image at a registry or in a layout', required: true },
    { name: 'newtag', describe: 'The tag it gets', required: true },
  ],
  options: REGISTRY_OPTIONS,
  examples: [['$0 tag registry.example/app:1.2.3 stable', 'the same bytes under another tag']],
  run: async (args, context) => {
    const name = required(args, 'newtag', 'NEWTAG');
    if (splitTransport(name).transport !== 'docker') {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${name}: NEWTAG is a tag in the place of IMAGE; give the tag alone, or copy to ${name}`,
      );
    }
    const { signal, onProgress } = context;
    await withSource(args, context, { mirrors: false }, async (opened) => {
      const tagger = opened.source as Partial<Tagger>;
      if (tagger.tag === undefined) {
        throw new RootfsError(
          'ERR_UNSUPPORTED',
          `${opened.name}: ${opened.transport}: is only read; rootfs copy gives it that name in another place`,
        );
      }
      const target = await fetchDescriptor(opened.source, opened.reference, { signal, onProgress });
      await tagger.tag(target, name, { signal, onProgress });
      const { digest, mediaType, size } = target;
      context.endProgress();
      await context.write(
        args['json'] === true ? `${JSON.stringify({ tag: name, digest, mediaType, size })}\n` : `${digest}\n`,
      );
    });
    return undefined;
  },
};
