/** `rootfs flatten IMAGE`: all layers as one tar. */
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { flattenTo, mergeLayers, type PathPatterns, RootfsError, wrapSystemError } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { text } from '../options.js';
import { formatSize } from '../quantity.js';
import { STORE_OPTIONS, withStore } from '../store.js';
import { mergeArguments, UNPACK_OPTIONS, unpackArguments } from '../unpack-options.js';

/** Runs `write` on a new file beside `path` that takes its place when all went well; on `-`, on stdout. */
async function intoFile<T>(path: string, write: (fd: number) => Promise<T>): Promise<T> {
  if (path === '-') return write(1);
  const beside = `${path}.${process.pid}.partial`;
  let fd: number;
  try {
    fd = openSync(beside, 'wx', 0o644);
  } catch (error) {
    throw wrapSystemError(error, path, 'name a file in a folder that can be written');
  }
  try {
    const result = await write(fd);
    closeSync(fd);
    renameSync(beside, path);
    return result;
  } catch (error) {
    rmSync(beside, { force: true });
    throw wrapSystemError(error, path);
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
    ['$0 flatten debian:12 | tar -x -C root', 'into a pipe'],
    ['$0 flatten -o debian.tar debian:12', 'into a file; the same bytes each time'],
  ],
  run: async (args, context) => {
    const output = text(args, 'output') ?? '-';
    if (output === '-' && process.stdout.isTTY) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        'a tar is not written to a terminal; name a file with -o, or pipe it',
      );
    }
    if (output === '-' && args['json'] === true) {
      throw new RootfsError('ERR_OPTION_INVALID', '--json and the tar cannot share stdout; name a file with -o');
    }
    const { include, exclude }: PathPatterns = unpackArguments(args);
    const { signal, onProgress } = context;
    const path = output === '-' ? output : resolve(output);
    const bytes = await withImage(args, context, (image, opened) =>
      withStore(args, context, image, opened, async ({ layers }) => {
        const tree = await mergeLayers(layers, mergeArguments(args, context));
        context.endProgress();
        return intoFile(path, (fd) => flattenTo(tree, layers, fd, { include, exclude, signal, onProgress }));
      }),
    );
    if (args['json'] === true) await context.write(`${JSON.stringify({ path, tarBytes: bytes })}\n`);
    else if (path !== '-') context.note(`rootfs: ${formatSize(bytes)}: ${path}`);
    return undefined;
  },
};
