/** `rootfs cache ls | verify | prune`: what the caches hold, whether it is sound, and making room. */
import { stat } from 'node:fs/promises';
import {
  type CacheListing,
  type CachePlaces,
  familiarReference,
  listCache,
  type PrunedItem,
  parseReference,
  pruneCache,
  RootfsError,
  systemErrorCode,
  verifyCache,
  wrapSystemError,
} from '../../index.js';
import type { Arguments, Command, Context } from '../command.js';
import { ExitCode } from '../exit-code.js';
import { flag, required, text } from '../options.js';
import { formatCount, formatSize, parseDuration, parseSize } from '../quantity.js';
import { requireNoFile } from '../require-no-file.js';
import { keptStore } from '../store.js';
import { table } from '../table.js';

const PRUNE_ONLY = ['max-size', 'older-than', 'dry-run'];

/** Of what `overlay --rw`, `mount` and `prepareRootfs` keep beside the layers. */
const NOT_PRUNED = 'not pruned; remove those that nothing uses or mounts';

/** A store that somebody named has to be there; the caches that nobody named may not have been made yet. */
async function places(args: Arguments): Promise<CachePlaces> {
  const layers = keptStore(args);
  if (args['store'] === undefined) return { layers };
  await requireNoFile('--store', layers);
  await stat(layers).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, `--store ${layers}`);
    throw new RootfsError('ERR_NOT_FOUND', `--store ${layers}: there is no such folder; check the path`, {
      cause: error,
      detail: { path: layers },
    });
  });
  return { layers };
}

function shown(names: readonly string[]): string {
  return names
    .map((name) => {
      try {
        return familiarReference(parseReference(name));
      } catch {
        return name;
      }
    })
    .join(' ');
}

function when(moment: number): string {
  return moment === 0 ? '' : `${new Date(moment).toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

function describe(listing: CacheListing): string {
  const used = new Set(listing.leases.flatMap(({ digests }) => digests));
  const rows = [
    ...listing.images.map(({ digest, names, bytes, missingBlobs, usedAt }) => [
      'image',
      digest,
      formatSize(bytes),
      when(usedAt),
      `${used.has(digest) ? 'in use ' : ''}${missingBlobs > 0 ? 'in part ' : ''}${shown(names)}`,
    ]),
    ...listing.layers.map(({ diffId, tarBytes, usedAt }) => [
      'layer',
      diffId,
      formatSize(tarBytes),
      when(usedAt),
      used.has(diffId) ? 'in use' : '',
    ]),
    ...listing.forms.map(({ form, path, bytes }) => [form, '', formatSize(bytes), '', path]),
  ];
  return table([['KIND', 'DIGEST', 'SIZE', 'USED', ''], ...rows], [2]);
}

async function ls(args: Arguments, context: Context): Promise<number> {
  const listing = await listCache(await places(args));
  const { images, layers, forms, imageBytes, layerBytes, formBytes, imagesFolder, layersFolder } = listing;
  await context.write(args['json'] === true ? `${JSON.stringify(listing)}\n` : describe(listing));
  context.note(`rootfs: ${formatCount(images.length, 'image')}, ${formatSize(imageBytes)}: ${imagesFolder}`);
  context.note(`rootfs: ${formatCount(layers.length, 'layer')}, ${formatSize(layerBytes)}: ${layersFolder}`);
  if (forms.length > 0) {
    context.note(`rootfs: ${formatCount(forms.length, 'root file system')}, ${formatSize(formBytes)}: ${NOT_PRUNED}`);
  }
  return ExitCode.done;
}

async function verify(args: Arguments, context: Context): Promise<number> {
  const { signal, onProgress } = context;
  const found = await verifyCache(await places(args), { signal, onProgress });
  context.endProgress();
  const { damaged, checkedBlobs, checkedBytes } = found;
  const lines = damaged.map(({ kind, digest, path }) => `${kind}\t${digest}\t${path}\n`).join('');
  await context.write(args['json'] === true ? `${JSON.stringify(found)}\n` : lines);
  const end =
    damaged.length === 0 ? 'all sound' : `${damaged.length} damaged and removed; the next use brings them back`;
  context.note(`rootfs: ${formatCount(checkedBlobs, 'file')}, ${formatSize(checkedBytes)}: ${end}`);
  return damaged.length === 0 ? ExitCode.done : ExitCode.integrity;
}

async function prune(args: Arguments, context: Context): Promise<number> {
  const { signal, onProgress } = context;
  const maxSize = text(args, 'max-size');
  const olderThan = text(args, 'older-than');
  const dryRun = flag(args, 'dry-run') === true;
  const pruned = await pruneCache({
    ...(await places(args)),
    maxSize: maxSize === undefined ? undefined : parseSize('max-size', maxSize),
    olderThanMs: olderThan === undefined ? undefined : parseDuration('older-than', olderThan),
    dryRun,
    signal,
    onProgress,
  });
  const line = ({ kind, digest, bytes, names }: PrunedItem): string =>
    `${[kind, digest, String(bytes), shown(names)].join('\t').trimEnd()}\n`;
  await context.write(args['json'] === true ? `${JSON.stringify(pruned)}\n` : pruned.removed.map(line).join(''));
  const { removed, freedBytes, keptBytes, formBytes, protectedItems } = pruned;
  const inUse = protectedItems === 0 ? '' : `, ${protectedItems} in use and kept`;
  context.note(
    `rootfs: ${removed.length} ${dryRun ? 'would go' : 'removed'}, ${formatSize(freedBytes)}${inUse}; ${formatSize(keptBytes)} left`,
  );
  if (maxSize === undefined && olderThan === undefined) {
    context.note('rootfs: without --older-than or --max-size only what no image names goes');
  }
  if (formBytes > 0) {
    context.note(`rootfs: besides, ${formatSize(formBytes)} of root file systems (see cache ls): ${NOT_PRUNED}`);
  }
  return ExitCode.done;
}

const ACTIONS: Readonly<Record<string, (args: Arguments, context: Context) => Promise<number>>> = { ls, verify, prune };

/** The command. */
export const cache: Command = {
  positionals: [{ name: 'action', describe: 'ls, verify or prune', required: true }],
  options: {
    store: { type: 'string', describe: 'Folder the layers are kept in (default ~/.cache/rootfs-kit/layers-v1)' },
    'max-size': { type: 'string', describe: 'prune: until both caches have at most this: 10GiB', group: 'Prune:' },
    'older-than': { type: 'string', describe: 'prune: what was not used for so long: 30d', group: 'Prune:' },
    'dry-run': { type: 'boolean', describe: 'prune: tell, and remove nothing', group: 'Prune:' },
  },
  examples: [
    ['$0 cache ls', 'images and extracted layers, what was used last first; root file systems kept beside them'],
    ['$0 cache verify', 'hash everything; damaged files are removed and named, exit code 5'],
    ['$0 cache prune --older-than 30d --max-size 10GiB', 'make room; what is in use stays'],
  ],
  run: async (args, context) => {
    const action = required(args, 'action', 'ls, verify or prune');
    const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (run === undefined) {
      throw new RootfsError('ERR_OPTION_INVALID', `cache ${action}: there is ls, verify and prune`);
    }
    const stray = PRUNE_ONLY.find((name) => action !== 'prune' && args[name] !== undefined);
    if (stray !== undefined) throw new RootfsError('ERR_OPTION_INVALID', `--${stray} belongs to cache prune`);
    return run(args, context);
  },
};
