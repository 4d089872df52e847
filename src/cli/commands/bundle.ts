/** `rootfs bundle --dst DIR IMAGE`: what runc and its cousins start. */
import { resolve } from 'node:path';
import { mergeLayers, writeBundle } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { flag, required, text } from '../options.js';
import { requireEmpty } from '../require-empty.js';
import { STORE_OPTIONS, withStore } from '../store.js';
import { mergeArguments, noteUnpacked, UNPACK_OPTIONS, unpackArguments } from '../unpack-options.js';

/** The command. */
export const bundle: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    dst: { type: 'string', demandOption: true, describe: 'Bundle to make: config.json and rootfs/; absent or empty' },
    rootless: {
      type: 'boolean',
      describe: 'For a runtime without root (default: whether you have root)',
      group: 'Bundle:',
    },
    'read-only': { type: 'boolean', describe: 'Mount the root file system read-only', group: 'Bundle:' },
    terminal: { alias: 't', type: 'boolean', describe: 'The process gets a terminal', group: 'Bundle:' },
    hostname: { type: 'string', describe: 'Host name inside', group: 'Bundle:' },
    ...UNPACK_OPTIONS,
    ...STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [['$0 bundle --dst box alpine && runc run --bundle box box1', 'run what the image says']],
  run: async (args, context) => {
    const dst = resolve(required(args, 'dst', '--dst'));
    await requireEmpty('--dst', dst);
    const options = {
      ...unpackArguments(args),
      rootless: flag(args, 'rootless'),
      readOnly: flag(args, 'read-only'),
      terminal: flag(args, 'terminal'),
      hostname: text(args, 'hostname'),
      signal: context.signal,
      onProgress: context.onProgress,
    };
    const result = await withImage(args, context, (image, opened) =>
      withStore(args, context, image, opened, async ({ layers }) =>
        writeBundle(image, await mergeLayers(layers, mergeArguments(args, context)), layers, dst, options),
      ),
    );
    context.endProgress();
    noteUnpacked(result.rootfs, context);
    context.note(
      `rootfs: runs ${JSON.stringify(result.process.argv)}${result.rootless ? ', without root' : ''}: ${result.path}`,
    );
    if (args['json'] === true) await context.write(`${JSON.stringify(result)}\n`);
    return undefined;
  },
};
