/** `rootfs push SRC IMAGE`: a local image to a registry. */
import { RootfsError, splitTransport } from '../../index.js';
import type { Command } from '../command.js';
import { COPY_OPTIONS, copyBetween } from '../copy.js';
import { required } from '../options.js';

/** The command. */
export const push: Command = {
  positionals: [
    { name: 'source', describe: 'A local source, as in oci:DIR[:TAG]', required: true },
    { name: 'image', describe: 'The name it gets at a registry', required: true },
  ],
  options: COPY_OPTIONS,
  examples: [
    ['$0 push oci:./layout:v1 registry.example/app:v1', 'from an OCI layout'],
    ['$0 push docker-archive:app.tar registry.example/app:v1', 'what docker save wrote'],
  ],
  run: async (args, context) => {
    const from = required(args, 'source', 'SOURCE');
    const to = required(args, 'image', 'IMAGE');
    const { transport } = splitTransport(to);
    if (transport !== 'docker') {
      throw new RootfsError('ERR_OPTION_INVALID', `${to}: not a registry; rootfs copy writes to ${transport}:`);
    }
    await copyBetween(args, context, from, to);
    return undefined;
  },
};
