/** `rootfs extract --dst DIR IMAGE`: the layers of an image as uncompressed tars. */
import { resolve } from 'node:path';
import { openRootFS } from '../../index.js';
import type { Command } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { LAYER_OPTIONS, layerArguments } from '../layer-options.js';
import { makeFolder } from '../make-folder.js';
import { required } from '../options.js';
import { formatCount, formatSize } from '../quantity.js';
import { inMade } from '../remove-made.js';
import { requireNoFile } from '../require-no-file.js';

/** The command. */
export const extract: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    dst: { type: 'string', demandOption: true, describe: 'Folder for the layers; made when it is missing' },
    ...LAYER_OPTIONS,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 extract --dst layers debian:12', 'one line a layer: diffID, bytes, path; base first'],
    ['$0 extract --dst layers --platform linux/arm64 alpine', 'for another processor'],
    ['$0 extract --dst layers oci:./layout:latest', 'from a local OCI layout, without a network'],
  ],
  run: async (args, context) => {
    const dst = resolve(required(args, 'dst', '--dst'));
    const options = layerArguments(args);
    await requireNoFile('--dst', dst);
    const started = Date.now();
    const lines = await withImage(args, context, async (image, { source, name }) => {
      const { signal, onProgress } = context;
      const { value: rootfs } = await inMade(
        dst,
        () => makeFolder('--dst', dst),
        () => openRootFS(source, image, dst, { ...options, signal, onProgress }),
      );
      try {
        context.endProgress();
        const bytes = rootfs.layers.reduce((sum, layer) => sum + layer.tarBytes, 0);
        const seconds = ((Date.now() - started) / 1000).toFixed(1);
        context.note(
          `rootfs: ${formatCount(rootfs.layers.length, 'layer')}, ${formatSize(bytes)}, verified, in ${seconds} s: ${dst}`,
        );
        const layers = rootfs.layers.map(({ descriptor, diffId, tarBytes, path }) => ({
          diffId,
          tarBytes,
          path,
          digest: descriptor.digest,
          compressedBytes: descriptor.size,
          mediaType: descriptor.mediaType,
        }));
        if (args['json'] !== true) return layers.map((one) => `${one.diffId}\t${one.tarBytes}\t${one.path}\n`).join('');
        const { manifest, config, platform } = image;
        return `${JSON.stringify({ reference: name, manifest: manifest.descriptor.digest, config: config.descriptor.digest, platform, layers })}\n`;
      } finally {
        await rootfs.close();
      }
    });
    await context.write(lines);
    return undefined;
  },
};
