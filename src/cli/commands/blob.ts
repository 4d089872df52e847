/** `rootfs blob IMAGE DIGEST`: the bytes of one blob, verified. */
import {
  type Descriptor,
  fetchImage,
  fetchManifest,
  fetchVerified,
  type OpenedSource,
  type Platform,
  parseDigest,
  RootfsError,
  readVerified,
} from '../../index.js';
import type { Command, Context } from '../command.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, platformOf, withSource } from '../image.js';
import { required } from '../options.js';

/** The command. */
export const blob: Command = {
  positionals: [IMAGE_POSITIONAL, { name: 'digest', describe: 'A layer or the config of the image', required: true }],
  options: IMAGE_OPTIONS,
  examples: [['$0 blob debian:12 sha256:… > layer.tar.gz', 'one layer, checked against its digest']],
  run: async (args, context) => {
    const digest = required(args, 'digest', 'DIGEST');
    parseDigest(digest);
    const platform = platformOf(args);
    await withSource(args, context, {}, async (opened) => {
      const target = (await blobsOf(opened, platform, context)).find((one) => one.digest === digest);
      if (target === undefined) {
        throw new RootfsError(
          'ERR_NOT_FOUND',
          `${opened.name}: ${digest} is none of its blobs; see rootfs inspect, or name another platform`,
          { detail: { image: opened.name, digest } },
        );
      }
      if (args['json'] === true) await context.write(`${JSON.stringify(target)}\n`);
      else await pour(opened, target, context);
    });
    return undefined;
  },
};

/** Config and layers. What stands beside images, a signature or an SBOM, has its content in such blobs just as well. */
async function blobsOf(
  opened: OpenedSource,
  platform: Platform | undefined,
  context: Context,
): Promise<readonly Descriptor[]> {
  const { signal, onProgress } = context;
  const named = ({ config, layers }: { config: Descriptor; layers: readonly Descriptor[] }) => [config, ...layers];
  try {
    const { manifest } = await fetchImage(opened.source, opened.reference, { platform, signal, onProgress });
    return named(manifest.value);
  } catch (error) {
    if (!(error instanceof RootfsError) || error.code !== 'ERR_NOT_AN_IMAGE') throw error;
    const found = await fetchManifest(opened.source, opened.reference, { signal, onProgress });
    if (found.kind !== 'manifest') throw error;
    return named(found.value);
  }
}

/** Up to this size, in bytes, nothing is written before all of it is known to be right. */
const WHOLE_BYTES = 4 * 1024 * 1024;

async function pour(opened: OpenedSource, target: Descriptor, context: Context): Promise<void> {
  const { signal, onProgress } = context;
  if (target.size <= WHOLE_BYTES) {
    // A mirror that has it wrong can be passed over still.
    const bytes = await readVerified(opened.source, target, { maxBytes: WHOLE_BYTES, signal, onProgress });
    context.endProgress();
    await context.write(bytes);
    return;
  }
  const content = await fetchVerified(opened.source, target, { signal, onProgress });
  context.endProgress();
  for await (const chunk of content) await context.write(chunk as Uint8Array);
}
