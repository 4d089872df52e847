/** Options of the commands that write a directory of files, and what they tell of losses. */
import type { Options } from 'yargs';
import { type MergeOptions, parseIdMap, pathFilter, type UnpackOptions, type UnpackResult } from '../index.js';
import type { Arguments, Context } from './command.js';
import { noteLosses } from './note-losses.js';
import { flag } from './options.js';
import { formatCount } from './quantity.js';

/** The options. */
export const UNPACK_OPTIONS: Readonly<Record<string, Options>> = {
  'uid-map': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'CONTAINER:HOST:SIZE; may be repeated',
    group: 'Files:',
  },
  'gid-map': {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'CONTAINER:HOST:SIZE; may be repeated',
    group: 'Files:',
  },
  include: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'Only paths that match this glob, as in etc/** or **/*.so; may be repeated',
    group: 'Files:',
  },
  exclude: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'Not the paths that match this glob; may be repeated, wins over --include',
    group: 'Files:',
  },
  'keep-dirlinks': {
    type: 'boolean',
    describe: 'A directory over a link to a directory goes through the link',
    group: 'Files:',
  },
  'same-owner': { type: 'boolean', describe: 'Give files their owners (default true)', group: 'Files:' },
  'allow-loss': { type: 'boolean', describe: 'As root: go on where something cannot be kept', group: 'Files:' },
};

function list(args: Arguments, name: string): readonly string[] | undefined {
  const value = args[name];
  return Array.isArray(value) ? value.map(String) : undefined;
}

/** What they say, as the library's options. @throws RootfsError `ERR_OPTION_INVALID` */
export function unpackArguments(args: Arguments): UnpackOptions {
  const patterns = { include: list(args, 'include'), exclude: list(args, 'exclude') };
  // A pattern that is none is told before anything is fetched.
  pathFilter(patterns);
  return {
    uidMap: list(args, 'uid-map')?.map(parseIdMap),
    gidMap: list(args, 'gid-map')?.map(parseIdMap),
    ...patterns,
    sameOwner: flag(args, 'same-owner'),
    allowLoss: flag(args, 'allow-loss'),
  };
}

/** Tells on stderr what of the image is not on disk as it is in the image. Of what is never written, warnings told. */
export function noteUnpacked(result: UnpackResult, context: Context): void {
  noteLosses(result.losses, context);
  if (result.absent.length > 0) {
    const devices = formatCount(result.absent.length, 'device is', 'devices are');
    // Without a side file, as where the folder above may not be written, they are recorded nowhere.
    const [kind, fate] =
      result.ownershipFile === undefined ? ['warning', 'neither made nor recorded'] : ['note', 'recorded, not made'];
    context.note(`rootfs: ${kind}: ${devices} ${fate}: ${result.absent.slice(0, 3).join(', ')}`);
  }
  if (result.ownershipFile !== undefined) context.note(`rootfs: note: owners are recorded in ${result.ownershipFile}`);
}

/** The options that concern how layers are merged, for `mergeLayers`. */
export function mergeArguments(args: Arguments, context: Context): MergeOptions {
  return { keepDirlinks: flag(args, 'keep-dirlinks'), signal: context.signal };
}
