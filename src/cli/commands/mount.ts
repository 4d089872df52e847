/** `rootfs mount IMAGE DIR`: the root file system of an image, without unpacking it. */
import { resolve } from 'node:path';
import { checkMount, mountRootFS } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { noteLosses } from '../note-losses.js';
import { flag, required, text } from '../options.js';
import { formatCount } from '../quantity.js';
import { KEPT_STORE_OPTIONS, withStore } from '../store.js';

/** The command. */
export const mount: Command = {
  positionals: [IMAGE_POSITIONAL, { name: 'dir', describe: 'Folder to mount on; made if missing', required: true }],
  options: {
    rw: { type: 'string', describe: 'Writable: folder that keeps the changes', group: 'Mount:' },
    'allow-loss': { type: 'boolean', describe: 'Go on without attributes EROFS cannot hold', group: 'Mount:' },
    ...KEPT_STORE_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 mount debian:12 /mnt/debian', 'read-only, from the layers as they are; needs root'],
    ['$0 mount --rw changes debian:12 box', 'writable; what is written lands in changes/upper'],
    ['$0 mount alpine box && bwrap --ro-bind box / --dev /dev sh', 'a shell in it'],
  ],
  run: async (args, context) => {
    const dir = resolve(required(args, 'dir', 'DIR'));
    const { signal, onProgress } = context;
    const options = { upper: text(args, 'rw'), allowLoss: flag(args, 'allow-loss'), signal, onProgress };
    checkMount(dir);
    const started = Date.now();
    const result = await withImage(args, context, (image, opened) =>
      withStore(args, context, image, opened, (rootfs, store) => mountRootFS(rootfs, dir, store, options), true),
    );
    context.endProgress();
    noteLosses(result.losses, context);
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    const kind = result.writable === undefined ? 'read-only' : `changes in ${result.writable.upper}`;
    context.note(
      `rootfs: ${formatCount(result.layers.length, 'layer')} mounted in ${seconds} s, ${kind}: ${result.mountpoint}`,
    );
    if (args['json'] === true) await context.write(`${JSON.stringify(result)}\n`);
    return undefined;
  },
};
