/** `rootfs digest IMAGE`: what the name points at. */
import { fetchDescriptor, fetchImage, readVerified } from '../../index.js';
import { cachePolicy } from '../cache-options.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, platformOf, withSource } from '../image.js';
import { POINTED_PLATFORM_OPTIONS } from '../options.js';

/** The command. */
export const digest: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: { ...IMAGE_OPTIONS, ...POINTED_PLATFORM_OPTIONS },
  examples: [
    ['$0 digest debian:12', 'the digest of the index (or manifest) the tag points at'],
    ['$0 digest --platform linux/arm64 debian:12', "the digest of that platform's manifest"],
  ],
  run: async (args, context) => {
    const platform = platformOf(args);
    await withSource(args, context, {}, async (opened) => {
      const { signal, onProgress } = context;
      const found =
        platform === undefined
          ? await fetchDescriptor(opened.source, opened.reference, { signal, onProgress })
          : (await fetchImage(opened.source, opened.reference, { platform, signal, onProgress })).manifest.descriptor;
      // The cache keeps what is read, and then knows the name.
      if (cachePolicy(args) !== undefined) await readVerified(opened.source, found, { signal, onProgress });
      const { digest, mediaType, size } = found;
      await context.write(
        args['json'] === true
          ? `${JSON.stringify({ reference: opened.name, digest, mediaType, size })}\n`
          : `${digest}\n`,
      );
    });
    return undefined;
  },
};
