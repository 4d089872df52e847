/** `rootfs flatten IMAGE`: all layers as one tar. */
import { resolve } from 'node:path';
import {
  flattenFile,
  flattenTo,
  type flatten as flattenTree,
  mergeLayers,
  type PathPatterns,
  RootfsError,
  systemErrorCode,
} from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { text } from '../options.js';
import { formatSize } from '../quantity.js';
import { requireFilePlace } from '../require-file-place.js';
import { stdoutPlace } from '../stdout-place.js';
import { STORE_OPTIONS, withStore } from '../store.js';
import { mergeArguments, UNPACK_OPTIONS, unpackArguments } from '../unpack-options.js';

/** The tar on stdout; `undefined` when the reader has gone, as `head` does. */
async function intoStdout(...[tree, layers, options]: Parameters<typeof flattenTree>): Promise<number | undefined> {
  try {
    return await flattenTo(tree, layers, 1, options);
  } catch (error) {
    if (error instanceof RootfsError && systemErrorCode(error.cause) === 'EPIPE') return undefined;
    throw error;
  }
}

const FLATTEN = new Set(['include', 'exclude', 'keep-dirlinks']);

/** The command. */
export const flatten: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    output: { alias: 'o', type: 'string', default: '-', describe: 'File to write; - is stdout' },
    ...Object.fromEntries(Object.entries(UNPACK_OPTIONS).filter(([name]) => FLATTEN.has(name))),
    ...STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['mkdir root && $0 flatten debian:12 | tar -x -C root', 'into a pipe'],
    ['$0 flatten -o debian.tar debian:12', 'into a file; the same bytes each time'],
  ],
  run: async (args, context) => {
    const output = stdoutPlace(text(args, 'output') ?? '-');
    if (output === '-' && process.stdout.isTTY) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        'a tar is not written to a terminal; name a file with -o, or pipe it',
      );
    }
    if (output === '-' && args['json'] === true) {
      throw new RootfsError('ERR_OPTION_INVALID', '--json and the tar cannot share stdout; name a file with -o');
    }
    if (/\.t?gz$/.test(output)) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `--output ${output}: the tar is not compressed; name it .tar, or pipe it: rootfs flatten IMAGE | gzip > FILE`,
      );
    }
    const { include, exclude }: PathPatterns = unpackArguments(args);
    const { signal, onProgress } = context;
    const path = output === '-' ? output : resolve(output);
    if (path !== '-') requireFilePlace(output);
    const bytes = await withImage(args, context, (image, opened) =>
      withStore(args, context, image, opened, async ({ layers }) => {
        const merge = async (): ReturnType<typeof mergeLayers> => {
          const tree = await mergeLayers(layers, mergeArguments(args, context));
          context.endProgress();
          return tree;
        };
        const options = { include, exclude, signal, onProgress };
        if (path === '-') return intoStdout(await merge(), layers, options);
        return (await flattenFile(merge, layers, path, options)).tarBytes;
      }),
    );
    if (bytes === undefined) return 141;
    if (args['json'] === true) await context.write(`${JSON.stringify({ path, tarBytes: bytes })}\n`);
    else if (path !== '-') context.note(`rootfs: ${formatSize(bytes)}: ${path}`);
    return undefined;
  },
};
