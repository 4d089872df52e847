/** `rootfs unpack --dst DIR IMAGE`: one directory, ready to be a sandbox's root. */
import { resolve } from 'node:path';
import { mergeLayers, unpack as unpackTree } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { required } from '../options.js';
import { formatCount, formatSize } from '../quantity.js';
import { requireEmpty } from '../require-empty.js';
import { STORE_OPTIONS, withStore } from '../store.js';
import { mergeArguments, noteUnpacked, UNPACK_OPTIONS, unpackArguments } from '../unpack-options.js';

/** The command. */
export const unpack: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    dst: { type: 'string', demandOption: true, describe: 'Directory to make; absent or empty' },
    ...UNPACK_OPTIONS,
    ...STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 unpack --dst root debian:12', 'the root file system; with root: owners, devices, capabilities too'],
    ['$0 unpack --dst root alpine && bwrap --bind root / --dev /dev sh', 'a shell in it, without root'],
    ["$0 unpack --dst conf --include 'etc/**' alpine", 'a part of it'],
  ],
  run: async (args, context) => {
    const dst = resolve(required(args, 'dst', '--dst'));
    await requireEmpty('--dst', dst);
    const options = { ...unpackArguments(args), signal: context.signal, onProgress: context.onProgress };
    const { image, result } = await withImage(args, context, async (found, opened) => ({
      image: found,
      result: await withStore(args, context, found, opened, async ({ layers }) =>
        unpackTree(await mergeLayers(layers, mergeArguments(args, context)), layers, dst, options),
      ),
    }));
    context.endProgress();
    noteUnpacked(result, context);
    context.note(
      `rootfs: ${formatCount(result.entries, 'entry', 'entries')}, ${formatSize(result.dataBytes)}: ${result.path}`,
    );
    if (args['json'] === true) {
      await context.write(
        `${JSON.stringify({ manifest: image.manifest.descriptor.digest, platform: image.platform, ...result })}\n`,
      );
    }
    return undefined;
  },
};
