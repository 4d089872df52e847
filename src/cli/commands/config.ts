/** `rootfs config IMAGE`: an image's config, its bytes as they are. */
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';

/** The command. */
export const config: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: IMAGE_OPTIONS,
  examples: [['$0 config debian:12 | jq .config.Cmd', 'what the image runs']],
  run: async (args, context) => {
    const out = await withImage(args, context, async (image) => {
      const { descriptor, value, bytes } = image.config;
      return args['json'] === true ? `${JSON.stringify({ descriptor, config: value })}\n` : bytes;
    });
    context.endProgress();
    await context.write(out);
    return undefined;
  },
};
