/** `rootfs delete IMAGE`: a manifest away from its registry or layout, with every tag of it. */
import { type Deleter, fetchDescriptor, isDigest, RootfsError } from '../../index.js';
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
      const { source, reference } = opened;
      const call = { signal, onProgress };
      // What a tag means is read; what is named by its digest may be damaged, and is to go all the same.
      const target = isDigest(reference)
        ? await source.resolve(reference, call)
        : await fetchDescriptor(source, reference, call);
      await deleter.delete(target, call);
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
