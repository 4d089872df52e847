/** `rootfs mkfs --format erofs -o FILE IMAGE`: a file system image, for what takes a block device. */
import { resolve } from 'node:path';
import { type Loss, mergeLayers, type RootFS, RootfsError, writeErofs, writeExt4, writeSquashfs } from '../../index.js';
import type { Arguments, Command, Context } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { noteLosses } from '../note-losses.js';
import { flag, required, text } from '../options.js';
import { formatSize, parseSize } from '../quantity.js';
import { requireFilePlace } from '../require-file-place.js';
import { stdoutPlace } from '../stdout-place.js';
import { STORE_OPTIONS, withStore } from '../store.js';

interface Made {
  readonly path: string;
  readonly imageBytes: number;
  readonly losses: readonly Loss[];
  readonly verity?: { readonly rootHash: string; readonly hashOffset: number } | undefined;
  readonly devices?: readonly { readonly path: string }[];
}

/** Options that belong to one format only. */
const OWN_OPTIONS: readonly (readonly [option: string, format: string])[] = [
  ['layers-as-devices', 'erofs'],
  ['verity', 'erofs'],
  ['compression', 'squashfs'],
  ['size', 'ext4'],
];

const LEAST_EXT4 = 1024 ** 2;

/** `--size` in bytes. @throws RootfsError `ERR_OPTION_INVALID` */
function sizeOf(args: Arguments): number | undefined {
  const size = text(args, 'size');
  if (size === undefined) return undefined;
  const bytes = parseSize('size', size);
  if (bytes >= LEAST_EXT4) return bytes;
  throw new RootfsError('ERR_OPTION_INVALID', `--size ${size}: too small; give 1MiB or more, or leave it out`);
}

function checkOptions(args: Arguments, format: string): void {
  if (stdoutPlace(text(args, 'output') ?? '') === '-') {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      '--output -: a file system is not written from front to back, so it cannot go to stdout; name a file',
    );
  }
  for (const [option, owner] of OWN_OPTIONS) {
    if (args[option] === undefined || owner === format) continue;
    throw new RootfsError('ERR_OPTION_INVALID', `--${option} goes with --format ${owner}, not with ${format}`);
  }
  if (args['layers-as-devices'] === true && args['store'] === false) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      '--layers-as-devices needs the layers later: give --store, not --no-store',
    );
  }
  sizeOf(args);
}

async function make(args: Arguments, context: Context, format: string, out: string, rootfs: RootFS): Promise<Made> {
  const { layers } = rootfs;
  const { signal, onProgress } = context;
  const tree = await mergeLayers(layers, { signal });
  const common = { allowLoss: flag(args, 'allow-loss'), signal, onProgress };
  if (format === 'ext4') return writeExt4(tree, layers, out, { ...common, size: sizeOf(args) });
  if (format === 'squashfs') {
    const compression = text(args, 'compression') as 'zstd' | undefined;
    return writeSquashfs(tree, layers, out, { ...common, compression });
  }
  const { devices, ...made } = await writeErofs(tree, layers, out, {
    ...common,
    data: args['layers-as-devices'] === true ? 'layers' : 'image',
    verity: flag(args, 'verity'),
  });
  return { ...made, ...{ devices: devices.map(({ diffId, path, tarBytes }) => ({ diffId, path, tarBytes })) } };
}

/** What a script reads: the devices in the order the kernel wants them, then the root hash. */
function lines(made: Made): string {
  const devices = (made.devices ?? []).map(({ path }) => `device=${path}\n`).join('');
  return devices + (made.verity === undefined ? '' : `${made.verity.rootHash}\n`);
}

/** The command. */
export const mkfs: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    format: {
      choices: ['erofs', 'squashfs', 'ext4'],
      default: 'erofs',
      describe: 'File system',
      group: 'File system:',
    },
    output: { alias: 'o', type: 'string', demandOption: true, describe: 'The image file', group: 'File system:' },
    'layers-as-devices': {
      type: 'boolean',
      describe: 'erofs: names only; data stays in the layers (prints device=FILE lines)',
      group: 'File system:',
    },
    verity: { type: 'boolean', describe: 'erofs: append a dm-verity tree, print its root hash', group: 'File system:' },
    compression: {
      choices: ['zstd', 'gzip', 'xz', 'lz4'],
      describe: 'squashfs: default zstd',
      group: 'File system:',
    },
    size: { type: 'string', describe: 'ext4: size of the image (default: as needed)', group: 'File system:' },
    'allow-loss': { type: 'boolean', describe: 'Go on without attributes it cannot hold', group: 'File system:' },
    ...STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 mkfs -o root.erofs debian:12', 'one read-only image, for a microVM or mount -o loop'],
    ['$0 mkfs --verity -o root.erofs alpine', 'and the root hash for dm-verity'],
    ['$0 mkfs --format ext4 --size 2GiB -o root.ext4 alpine', 'writable; no root needed'],
  ],
  run: async (args, context) => {
    const format = required(args, 'format', '--format');
    const output = required(args, 'output', '--output');
    checkOptions(args, format);
    requireFilePlace(output);
    const out = resolve(output);
    const made = await withImage(args, context, (image, opened) => {
      const use = (rootfs: RootFS): Promise<Made> => make(args, context, format, out, rootfs);
      return withStore(args, context, image, opened, use, args['layers-as-devices'] === true);
    });
    context.endProgress();
    noteLosses(made.losses, context);
    context.note(`rootfs: ${format}, ${formatSize(made.imageBytes)}: ${made.path}`);
    if (made.verity !== undefined) {
      context.note(`rootfs: the hash tree follows: veritysetup --hash-offset=${made.verity.hashOffset}`);
    }
    await context.write(args['json'] === true ? `${JSON.stringify({ format, ...made })}\n` : lines(made));
    return undefined;
  },
};
