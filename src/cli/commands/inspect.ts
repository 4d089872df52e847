/** `rootfs inspect IMAGE`: what an image is, without fetching a layer. */
import { formatPlatform, type Image } from '../../index.js';
import type { Command } from '../command.js';
import { explain } from '../explain.js';
import { IMAGE_OPTIONS, IMAGE_POSITIONAL, withImage } from '../image.js';
import { formatCount, formatSize } from '../quantity.js';
import { STORE_OPTION } from '../store.js';
import { table } from '../table.js';

function words(value: readonly string[] | null | undefined): string {
  return (value ?? []).map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
}

function describe(image: Image, name: string): string {
  const { manifest, config, platform, layers, index, target } = image;
  const inner = config.value.config;
  const facts: [string, string | undefined][] = [
    ['Name', name],
    ['Digest', target.digest],
    ['Manifest', index === undefined ? undefined : manifest.descriptor.digest],
    ['Media type', manifest.descriptor.mediaType],
    ['Platform', formatPlatform(platform)],
    ['Config', config.descriptor.digest],
    ['Created', config.value.created ?? undefined],
    ['Author', config.value.author ?? undefined],
    ['User', inner?.User],
    ['Entrypoint', words(inner?.Entrypoint)],
    ['Cmd', words(inner?.Cmd)],
    ['WorkingDir', inner?.WorkingDir],
    ['Env', words(inner?.Env)],
    ['Exposed ports', words(Object.keys(inner?.ExposedPorts ?? {}))],
    ['Volumes', words(Object.keys(inner?.Volumes ?? {}))],
  ];
  const labels = Object.entries(inner?.Labels ?? {}).map(([key, value]) => ['Label', `${key}=${value}`]);
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== '');
  const bytes = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  const rows = layers.map(({ descriptor, diffId }, at) => [
    String(at),
    formatSize(descriptor.size),
    descriptor.digest,
    diffId ?? '',
    descriptor.mediaType.replace(/^application\/vnd\./, ''),
  ]);
  return `${table([...known, ...labels])}\n${table(
    [['#', 'SIZE', 'DIGEST', 'DIFF ID', 'TYPE'], ...rows],
    [0, 1],
  )}\n${formatCount(layers.length, 'layer')}, ${formatSize(bytes)} compressed\n`;
}

/** The command. */
export const inspect: Command = {
  positionals: [IMAGE_POSITIONAL],
  options: {
    explain: {
      type: 'boolean',
      describe: 'Where it comes from, as whom, and what extracting it takes',
      group: 'Inspect:',
    },
    store: STORE_OPTION,
    ...IMAGE_OPTIONS,
  },
  examples: [
    ['$0 inspect debian:12', 'a table'],
    ['$0 inspect --explain debian:12', 'mirrors, credentials, layers missing'],
    ['$0 inspect --json debian:12', 'the same as JSON, the config whole'],
  ],
  run: async (args, context) => {
    const out = await withImage(args, context, async (image, opened) => {
      if (args['explain'] === true) return explain(args, context, image, opened);
      const { name } = opened;
      if (args['json'] !== true) return describe(image, name);
      const { target, index, manifest, config, platform, layers } = image;
      return `${JSON.stringify(
        {
          reference: name,
          digest: target.digest,
          platform,
          ...(index === undefined
            ? {}
            : { index: { digest: index.descriptor.digest, manifests: index.value.manifests } }),
          manifest: { ...manifest.descriptor, annotations: manifest.value.annotations },
          config: config.value,
          layers: layers.map(({ descriptor, diffId }) => ({ diffId, ...descriptor })),
        },
        undefined,
        2,
      )}\n`;
    });
    context.endProgress();
    await context.write(out);
    return undefined;
  },
};
