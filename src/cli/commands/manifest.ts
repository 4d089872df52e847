/** `rootfs manifest IMAGE`: a manifest or an index, its bytes as they are. */
import { fetchImage, fetchManifest } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, platformOf, withSource } from '../image.js';
import { POINTED_PLATFORM_OPTIONS } from '../options.js';

/** The command. */
export const manifest: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: { ...IMAGE_OPTIONS, ...POINTED_PLATFORM_OPTIONS },
  examples: [
    ['$0 manifest debian:12', 'the index, byte for byte'],
    ['$0 manifest --platform linux/arm64 debian:12 | jq .layers', "one platform's manifest"],
  ],
  run: async (args, context) => {
    const platform = platformOf(args);
    const { signal, onProgress } = context;
    await withSource(args, context, {}, async (opened) => {
      const { descriptor, bytes, value } =
        platform === undefined
          ? await fetchManifest(opened.source, opened.reference, { signal, onProgress })
          : (await fetchImage(opened.source, opened.reference, { platform, signal, onProgress })).manifest;
      context.endProgress();
      await context.write(args['json'] === true ? `${JSON.stringify({ descriptor, manifest: value })}\n` : bytes);
    });
    return undefined;
  },
};
