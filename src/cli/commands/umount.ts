/** `rootfs umount DIR`: takes down what `rootfs mount` mounted. */
import { resolve } from 'node:path';
import { unmountRootFS } from '../../index.js';
import type { Command } from '../command.js';
import { flag, required, text } from '../options.js';

/** The command. */
export const umount: Command = {
  positionals: [{ name: 'dir', describe: 'Folder that an image is mounted on', required: true }],
  options: {
    store: { type: 'string', describe: 'Store it was mounted from, if it cannot tell', group: 'Mount:' },
    lazy: {
      alias: 'l',
      type: 'boolean',
      describe: 'Also while it is used: gone when the last is done',
      group: 'Mount:',
    },
  },
  examples: [['$0 umount /mnt/debian', 'the mount, its loop devices and its record are gone; the layers stay']],
  run: async (args, context) => {
    const dir = resolve(required(args, 'dir', 'DIR'));
    const store = text(args, 'store');
    const result = await unmountRootFS(dir, {
      store: store === undefined ? undefined : resolve(store),
      lazy: flag(args, 'lazy'),
      signal: context.signal,
    });
    if (!result.wasMounted) context.note(`rootfs: nothing was mounted any more; its record is removed: ${dir}`);
    if (result.upper !== undefined) context.note(`rootfs: the changes are in ${result.upper}`);
    if (args['json'] === true) await context.write(`${JSON.stringify(result)}\n`);
    return undefined;
  },
};
