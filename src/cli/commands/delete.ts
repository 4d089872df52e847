/** `rootfs delete IMAGE`: a manifest away from its registry or layout, with every tag of it. */
import { type Deleter, fetchDescriptor, RootfsError } from '../../index.js';
import type { Command } from '../command.js';
import { openImageSource } from '../image.js';
import { REGISTRY_OPTIONS } from '../options.js';

/** The command. */
export const deleteImage: Command = {
  positionals: [{ name: 'image', describe: 'An image at a registry or in a layout', required: true }],
  options: REGISTRY_OPTIONS,
  examples: [['$0 delete registry.example/app:old', 'the manifest behind the tag, so every tag of it']],
  run: async (args, context) => {
    const { signal, onProgress } = context;
    const opened = await openImageSource(args, context);
    try {
      const deleter = opened.source as Partial<Deleter>;
      if (deleter.delete === undefined) {
        throw new RootfsError(
          'ERR_UNSUPPORTED',
          `${opened.name}: ${opened.transport}: is only read; ${opened.transport === 'docker-daemon' ? 'remove it with docker rmi' : 'remove its file instead'}`,
        );
      }
      const target = await fetchDescriptor(opened.source, opened.reference, { signal, onProgress });
      await deleter.delete(target, { signal, onProgress });
      context.endProgress();
      const { digest, mediaType } = target;
      await context.write(
        args['json'] === true ? `${JSON.stringify({ deleted: digest, mediaType })}\n` : `${digest}\n`,
      );
    } finally {
      await opened.close();
    }
    return undefined;
  },
};
