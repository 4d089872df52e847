/** `rootfs copy SRC DST`: an image from any source to any destination, its digests kept. */
import type { Command } from '../command.js';
import { COPY_OPTIONS, copyBetween } from '../copy.js';
import { required } from '../options.js';

/** The command. */
export const copy: Command = {
  positionals: [
    { name: 'source', describe: 'A registry reference or a local source', required: true },
    { name: 'destination', describe: 'A registry reference or a local destination', required: true },
  ],
  options: COPY_OPTIONS,
  examples: [
    ['$0 copy debian:12 oci:./layout:12', 'all platforms, into an OCI layout'],
    ['$0 copy --platform linux/arm64 debian:12 registry.example/debian:12', 'one platform, to another registry'],
    ['$0 copy debian:12 docker-daemon:debian:12', 'into the Docker Engine that DOCKER_HOST names'],
  ],
  run: async (args, context) => {
    const from = required(args, 'source', 'SOURCE');
    const to = required(args, 'destination', 'DESTINATION');
    await copyBetween(args, context, from, to);
    return undefined;
  },
};
