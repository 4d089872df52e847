/** `rootfs overlay`: one directory for each layer, and writable copies of them, a run each. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import {
  createWritableCopy,
  findOverlay,
  type Image,
  type Loss,
  type OverlayOptions,
  type OverlayResult,
  overlayPlace,
  type RootFS,
  RootfsError,
  writeOverlay,
} from '../../index.js';
import type { Arguments, Command, Context } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { makeFolder } from '../make-folder.js';
import { noteLosses } from '../note-losses.js';
import { flag, text } from '../options.js';
import { inMade, removeEmpty } from '../remove-made.js';
import { requireEmpty } from '../require-empty.js';
import { STORE_OPTIONS, storeFolder, withStore } from '../store.js';
import { UNPACK_OPTIONS, unpackArguments } from '../unpack-options.js';

const FILE_OPTIONS = Object.fromEntries(
  Object.entries(UNPACK_OPTIONS).filter(([name]) => !['include', 'exclude', 'keep-dirlinks'].includes(name)),
);

type Options = Omit<OverlayOptions, 'image'>;

interface Place {
  readonly path: string;
  readonly reuse: boolean;
}

/**
 * Where the overlay goes: `--dst`, or beside the layers, named by the image and by how it is written. What the options
 * say is looked at before the image is asked for.
 */
async function placeOf(args: Arguments, options: Options): Promise<(image: Image) => Place> {
  const dst = text(args, 'dst');
  await requireRun(text(args, 'rw'));
  if (dst !== undefined) {
    const place = { path: resolve(dst), reuse: text(args, 'rw') !== undefined };
    // Whether it is the one that is asked for shows when the image is known.
    if (!(place.reuse && existsSync(join(place.path, 'overlay.json')))) await requireEmpty('--dst', place.path);
    return () => place;
  }
  const store = storeFolder(args);
  if (text(args, 'rw') === undefined || store === undefined) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      'overlay: --dst is missing; name the directory to make; see rootfs overlay --help',
    );
  }
  return (image) => ({ path: overlayPlace(store, image.manifest.descriptor.digest, options), reuse: true });
}

/** The place was taken: before it was opened, or before what was written could go there. */
const TAKEN: ReadonlySet<string> = new Set(['ERR_OPTION_INVALID', 'ERR_BUSY']);

/** What an earlier run left is told by who makes copies: it knows how to mount that again. */
async function requireRun(rw: string | undefined): Promise<void> {
  if (rw === undefined || existsSync(join(resolve(rw), 'upper'))) return;
  await requireEmpty('--rw', resolve(rw));
}

function overlayArguments(args: Arguments): Options {
  const { include: _include, exclude: _exclude, ...options } = unpackArguments(args);
  return {
    ...options,
    userXattr: flag(args, 'user-xattr'),
    whiteouts: text(args, 'whiteouts') === 'xattr' ? 'xattr' : 'device',
  };
}

async function write(
  args: Arguments,
  context: Context,
): Promise<{ path: string; command?: string | undefined; losses?: readonly Loss[] | undefined; json: unknown }> {
  const asked = overlayArguments(args);
  const place = await placeOf(args, asked);
  return withImage(args, context, async (image, opened) => {
    const { path, reuse } = place(image);
    const options = { ...asked, image: image.manifest.descriptor.digest };
    const found = { path, json: { path, reused: true } };
    if (reuse && findOverlay(path, options) !== undefined) return found;
    const { signal, onProgress } = context;
    try {
      const use = ({ layers }: RootFS): Promise<OverlayResult> =>
        within(args, dirname(path), () => writeOverlay(layers, path, { ...options, signal, onProgress }));
      // Without --dst the overlay itself lies in the store.
      const result = await withStore(args, context, image, opened, use, text(args, 'dst') === undefined);
      const { command, losses } = result;
      return { path, command, losses, json: { ...result, reused: false } };
    } catch (error) {
      // Many runs are started at once, and one of them was first.
      const taken = reuse && error instanceof RootfsError && TAKEN.has(error.code);
      if (taken && findOverlay(path, options) !== undefined) return found;
      throw error;
    }
  });
}

/**
 * Makes the folder of a store's overlays, where the overlay goes there, and removes it if it stays empty. Nobody else
 * may write in it: it is trusted later.
 */
async function within<T>(args: Arguments, folder: string, use: () => Promise<T>): Promise<T> {
  if (text(args, 'dst') !== undefined) return use();
  const option = args['store'] === undefined ? 'layer store' : '--store';
  const make = (): Promise<string | undefined> =>
    makeFolder(option, folder, 0o700, 'name a place that can be written with --dst');
  return (await inMade(folder, make, use, removeEmpty)).value;
}

/** The command. */
export const overlay: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    dst: { type: 'string', describe: 'Directory to make; absent or empty. With --rw: used again if it is this image' },
    rw: { type: 'string', describe: 'Make RUN/{upper,work,merged}, a writable copy, and mount it if you may' },
    'user-xattr': {
      type: 'boolean',
      describe: 'Marks for mounts in a user namespace (default: without root)',
      group: 'Files:',
    },
    whiteouts: {
      choices: ['device', 'xattr'],
      default: 'device',
      describe: 'How removed names are marked',
      group: 'Files:',
    },
    ...FILE_OPTIONS,
    ...STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 overlay --dst over debian:12', 'prints the mount command; MOUNTPOINT stands for where'],
    ['$0 overlay --rw run1 debian:12', 'a writable copy in run1/merged; the layers are shared by all runs'],
  ],
  run: async (args, context) => {
    const rw = text(args, 'rw');
    const made = await write(args, context);
    context.endProgress();
    noteLosses(made.losses ?? [], context);
    if (rw === undefined) {
      await context.write(args['json'] === true ? `${JSON.stringify(made.json)}\n` : `${made.command ?? ''}\n`);
      return undefined;
    }
    const { unmount: _unmount, ...copy } = createWritableCopy(made.path, resolve(rw));
    if (copy.mounted) context.note(`rootfs: mounted, changes in ${copy.upper}; umount ${copy.merged} when done`);
    else context.note(`rootfs: not mounted: ${copy.notMounted}; who may mounts it with the command on stdout`);
    if (args['json'] === true) await context.write(`${JSON.stringify({ base: made.path, ...copy })}\n`);
    else await context.write(`${copy.mounted ? copy.merged : copy.command}\n`);
    return undefined;
  },
};
