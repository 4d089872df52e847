/** `rootfs delete IMAGE`: a manifest away from its registry, with every tag of it; a name away from its layout. */
import { type Deleter, fetchDescriptor, isDigest, RootfsError, type Untagger } from '../../index.js';
import type { Command } from '../command.js';
import { withSource } from '../image.js';
import { REGISTRY_OPTIONS } from '../options.js';

/** How images go that lie elsewhere than in a file. */
const REMOVED_OTHERWISE: Readonly<Record<string, string>> = {
  'docker-daemon': 'remove it with docker rmi',
  dir: 'remove its folder instead',
};

/** The command. */
export const deleteImage: Command = {
  positionals: [{ name: 'image', describe: 'An image at a registry or in a layout', required: true }],
  options: REGISTRY_OPTIONS,
  examples: [
    ['$0 delete registry.example/app:old', 'the manifest behind the tag, so every tag of it'],
    ['$0 delete oci:images:old', 'this name alone; the manifest too where it was the last one'],
  ],
  run: async (args, context) => {
    const { signal, onProgress } = context;
    await withSource(args, context, { mirrors: false }, async (opened) => {
      const deleter = opened.source as Partial<Deleter>;
      if (deleter.delete === undefined) {
        throw new RootfsError(
          'ERR_UNSUPPORTED',
          `${opened.name}: ${opened.transport}: is only read; ${REMOVED_OTHERWISE[opened.transport] ?? 'remove its file instead'}`,
        );
      }
      const { source, reference } = opened;
      const { untag } = source as Partial<Untagger>;
      const call = { signal, onProgress };
      // What a tag means is read; what is named by its digest may be damaged, and is to go all the same.
      const target = isDigest(reference)
        ? await source.resolve(reference, call)
        : await fetchDescriptor(source, reference, call);
      if (untag !== undefined && isName(reference)) await untag.call(source, reference, call);
      else await deleter.delete(target, call);
      context.endProgress();
      const { digest, mediaType } = target;
      await context.write(
        args['json'] === true ? `${JSON.stringify({ deleted: digest, mediaType })}\n` : `${digest}\n`,
      );
    });
    return undefined;
  },
};

/** Whether a reference is a name or a place, `@0`, and not the digest of what has one, or nothing. */
function isName(reference: string): boolean {
  return reference !== '' && !/(?:^|@)sha(?:256|512):[0-9a-f]+$/.test(reference);
}
