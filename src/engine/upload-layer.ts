/** One layer to one repository: found there, mounted from another one, or compressed and sent. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { wrongAnswer } from '../io/part-error.js';
import { report } from '../progress.js';
import type { RegistryRepository } from '../registry/repository.js';
import type { Descriptor } from '../spec/descriptor.js';
import { describeLayerType, isForeignLayer, MediaType } from '../spec/media-types.js';
import { callPart, watchStream } from './call-part.js';
import { spoolLayer } from './compress-layer.js';
import type { EngineConfig } from './engine-config.js';
import { isSighting, type LayerSighting, type MetadataStore } from './metadata-store.js';
import type { PushLayer } from './push-layer.js';
import type { RepositoryInfo } from './registry-resolver.js';

/** The media types of one family, OCI's or Docker's. */
export interface LayerTypes {
  readonly config: string;
  readonly manifest: string;
  readonly gzip: string;
  /** By compression, where the family has a name for it. */
  readonly byCompression: ReadonlyMap<string, string>;
}

/** The types that go with a config's type. */
export function layerTypes(configMediaType: string): LayerTypes {
  const docker = configMediaType.startsWith('application/vnd.docker.');
  return docker
    ? {
        config: configMediaType,
        manifest: MediaType.dockerManifest,
        gzip: MediaType.dockerLayerGzip,
        byCompression: new Map([['gzip', MediaType.dockerLayerGzip]]),
      }
    : {
        config: configMediaType,
        manifest: MediaType.ociManifest,
        gzip: MediaType.ociLayerGzip,
        byCompression: new Map([
          ['gzip', MediaType.ociLayerGzip],
          ['zstd', MediaType.ociLayerZstd],
        ]),
      };
}

/** How many sightings are tried before the layer is sent. */
const MAX_TRIED = 4;

/** What an upload needs to know. */
export interface LayerUploadContext {
  readonly repository: RegistryRepository;
  readonly info: RepositoryInfo;
  readonly config: EngineConfig;
  readonly types: LayerTypes;
  readonly timeoutMs: number;
  /** Called whenever something moves. */
  readonly alive: () => void;
}

/**
 * Brings a layer to the repository; one that must not be handed on is only named, with where it may be had.
 *
 * @returns its descriptor there
 */
export async function uploadLayer(
  layer: PushLayer,
  context: LayerUploadContext,
  call: CallOptions,
): Promise<Descriptor> {
  const { repository, info, types, alive } = context;
  const known = await sightings(layer, context, call);
  if (isForeignLayer(layer) || (known.length > 0 && known.every(isForeignLayer))) return elsewhere(layer, known);
  const mine = known.filter(({ repository: place }) => place === info.name);
  const others = known.filter(({ repository: place }) => place !== info.name && place.startsWith(`${info.host}/`));
  for (const sighting of [...mine, ...others].slice(0, MAX_TRIED)) {
    const target = descriptorOf(sighting, types);
    if (target === undefined) continue;
    const isHere = sighting.repository === info.name;
    const from = sighting.repository.slice(info.host.length + 1);
    const found = isHere ? await repository.exists(target, call) : await repository.mount(target, from, call);
    alive();
    if (found) {
      report(call.onProgress, { type: 'blob:copied', digest: target.digest, bytes: target.size, skipped: true });
      if (!isHere) await note(layer, target, context, call);
      return target;
    }
    await forget(layer, sighting, context, call);
  }
  return send(layer, context, call);
}

/** @throws RootfsError `ERR_UNSUPPORTED` where it is not known where else the layer may be had */
function elsewhere({ diffId }: PushLayer, known: readonly LayerSighting[]): Descriptor {
  const seen = known.find(({ urls = [] }) => urls.length > 0);
  if (seen === undefined) {
    throw new RootfsError(
      'ERR_UNSUPPORTED',
      `${diffId}: a layer that must not be handed on, and no URL of it is known; copy the image as it is instead`,
      { detail: { diffId } },
    );
  }
  const { mediaType, digest, size, urls } = seen;
  return { mediaType, digest, size, urls };
}

async function send(layer: PushLayer, context: LayerUploadContext, call: CallOptions): Promise<Descriptor> {
  const { repository, types, alive, timeoutMs } = context;
  const compression = describeLayerType(layer.mediaType)?.compression;
  if (compression === undefined) {
    throw new RootfsError(
      'ERR_MEDIA_TYPE_UNSUPPORTED',
      `${layer.diffId}: the layer provider calls it ${layer.mediaType}, which is no layer`,
    );
  }
  const mediaType = compression === 'none' ? types.gzip : (types.byCompression.get(compression) ?? layer.mediaType);
  const spooled = await callPart(
    'the layer provider',
    (signal, stillAlive) => {
      const both = (): void => {
        stillAlive();
        alive();
      };
      return spoolLayer(watched(layer, both), compression === 'none', { ...call, signal });
    },
    { signal: call.signal, timeoutMs },
  );
  try {
    const target: Descriptor = { mediaType, digest: spooled.digest, size: spooled.size };
    report(call.onProgress, { type: 'blob:started', digest: target.digest, bytes: target.size });
    await repository.push(target, moving(spooled.content, alive), call);
    report(call.onProgress, { type: 'blob:copied', digest: target.digest, bytes: target.size, skipped: false });
    await note(layer, target, context, call);
    return target;
  } finally {
    await spooled.remove();
  }
}

/** A layer whose reader is seen to be alive. */
function watched(layer: PushLayer, alive: () => void): PushLayer {
  return {
    chainId: layer.chainId,
    diffId: layer.diffId,
    parent: layer.parent,
    mediaType: layer.mediaType,
    size: layer.size,
    async open(options) {
      return watchStream(await layer.open(options), alive);
    },
    release: () => layer.release(),
  };
}

/** Content of which each piece that is read is a sign of life; it can be read again. */
function moving(content: AsyncIterable<Uint8Array>, alive: () => void): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      for await (const chunk of content) {
        alive();
        yield chunk;
      }
    },
  };
}

function descriptorOf({ digest, size, mediaType }: LayerSighting, types: LayerTypes): Descriptor | undefined {
  const seen = describeLayerType(mediaType);
  if (seen === undefined || seen.nondistributable) return undefined;
  const named = types.byCompression.get(seen.compression);
  return named === undefined ? undefined : { mediaType: named, digest, size };
}

async function sightings(
  layer: PushLayer,
  context: LayerUploadContext,
  call: CallOptions,
): Promise<readonly LayerSighting[]> {
  const found = (await askMetadata(context, call, (store, options) => store.get(layer.diffId, options))) ?? [];
  if (!Array.isArray(found) || !found.every(isSighting)) {
    throw wrongAnswer('the metadata store', 'a list of sightings', found);
  }
  return found;
}

async function note(
  layer: PushLayer,
  target: Descriptor,
  context: LayerUploadContext,
  call: CallOptions,
): Promise<void> {
  const { digest, size, mediaType } = target;
  const sighting = { digest, size, mediaType, repository: context.info.name };
  await askMetadata(context, call, (store, options) => store.add(layer.diffId, sighting, options));
}

async function forget(
  layer: PushLayer,
  sighting: LayerSighting,
  context: LayerUploadContext,
  call: CallOptions,
): Promise<void> {
  await askMetadata(context, call, (store, options) => store.remove(layer.diffId, sighting, options));
}

async function askMetadata<T>(
  { config, timeoutMs, alive }: LayerUploadContext,
  call: CallOptions,
  ask: (store: MetadataStore, options: CallOptions) => Promise<T>,
): Promise<T | undefined> {
  const { metadataStore } = config;
  if (metadataStore == null) return undefined;
  const answer = await callPart('the metadata store', (signal) => ask(metadataStore, { ...call, signal }), {
    signal: call.signal,
    timeoutMs,
  });
  alive();
  return answer;
}
