/** `inspect --explain`: where an image would come from, as whom, and what extracting it would take. */
import {
  explainLayers,
  explainRegistry,
  formatPlatform,
  type Image,
  type OpenedSource,
  type RegistryExplanation,
  splitTransport,
} from '../index.js';
import type { Arguments, Context } from './command.js';
import { registryArguments, required } from './options.js';
import { formatCount, formatSize } from './quantity.js';
import { keptStore } from './store.js';
import { table } from './table.js';

/** Explains an image, as text or as JSON. */
export async function explain(
  args: Arguments,
  context: Context,
  image: Image,
  { name, transport }: OpenedSource,
): Promise<string> {
  const { rest } = splitTransport(required(args, 'image', 'IMAGE'));
  const { signal, onProgress } = context;
  const store = keptStore(args);
  const way =
    transport === 'docker'
      ? await explainRegistry(rest, { ...(await registryArguments(args, signal)), signal, onProgress })
      : undefined;
  const { layers, bytesToFetch, diskNeeded } = await explainLayers(image, store);
  const platform = formatPlatform(image.platform);
  if (args['json'] === true) {
    const endpoints = way?.endpoints ?? [];
    const digest = image.target.digest;
    return `${JSON.stringify({ reference: name, digest, transport, endpoints, platform, store, layers, bytesToFetch, diskNeeded }, undefined, 2)}\n`;
  }
  const rows = layers.map((layer) => [
    layer.present ? 'present' : 'missing',
    formatSize(layer.compressedBytes),
    layer.digest,
  ]);
  const present = layers.filter((layer) => layer.present).length;
  return [
    table([
      ['Name', name],
      ['Digest', image.target.digest],
      ['Platform', platform],
      ['Store', store],
    ]),
    way === undefined ? '' : `\n${endpointTable(way)}`,
    `\n${table([['LAYER', 'SIZE', 'DIGEST'], ...rows], [1])}`,
    `\n${present} of ${formatCount(layers.length, 'layer is', 'layers are')} there; ${formatSize(bytesToFetch)} to fetch, about ${formatSize(diskNeeded)} of disk needed\n`,
  ].join('');
}

function endpointTable({ endpoints }: RegistryExplanation): string {
  const rows = endpoints.map((endpoint, at) => [
    String(at + 1),
    `${endpoint.url} ${endpoint.repository}`,
    endpoint.tls,
    endpoint.credentialSource ?? 'as nobody',
    endpoint.source,
  ]);
  return table([['#', 'ENDPOINT', 'TLS', 'CREDENTIALS', 'CONFIGURED'], ...rows]);
}
