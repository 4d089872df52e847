/** Pulling as an engine does: parts of its own for where things come from, where they go, and who hears of it. */
import type { CallOptions, Pusher } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { fetchImage } from '../image/fetch-image.js';
import type { Image } from '../image/image.js';
import { throwIfAborted } from '../io/abort.js';
import { wrongAnswer } from '../io/part-error.js';
import type { LayerSource } from '../layer/layer-input.js';
import { type ProgressListener, report } from '../progress.js';
import type { RegistryRepository } from '../registry/repository.js';
import { bareDescriptor } from '../spec/bare-descriptor.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { bareMediaType, isConfigType } from '../spec/media-types.js';
import type { Platform } from '../spec/platform.js';
import { formatReference, parseReference, type Reference } from '../spec/reference.js';
import { callPart, watchStream } from './call-part.js';
import type { DownloadManager } from './download-manager.js';
import { type EngineConfig, partTimeout, requireMediaTypes, requireParts } from './engine-config.js';
import { engineRepository, logEvent } from './engine-repository.js';
import { checkConfigDigest, digestAs } from './image-config-store.js';

/** What `pull` takes. */
export interface PullConfig extends EngineConfig {
  /** Brings the layers to where the engine keeps them. */
  readonly downloadManager: DownloadManager;
  /** Where manifests and indexes are kept, verbatim. Without it they are not. */
  readonly contentStore?: Pusher | undefined;
  /** Default: this machine's. */
  readonly platform?: Platform | string | undefined;
  /** The image's config must be of one of these types. Default: every type that an image's config has. */
  readonly configMediaTypes?: readonly string[] | undefined;
}

/** What was pulled. */
export interface PullResult {
  /** The image's ID: the digest of its config. */
  readonly id: Digest;
  /** What the reference points at: the index where there is one. */
  readonly target: Descriptor;
  readonly manifest: Descriptor;
  readonly platform: Platform;
  /** Base first. */
  readonly diffIds: readonly Digest[];
}

/**
 * Pulls an image: layers through the download manager, manifests into the content store, the config into the image
 * store, then the name into the reference store. Each comes after what it needs, so that a pull that fails leaves no
 * name. Mirrors are tried in the resolver's order, for each blob anew; every digest is checked whoever sent it.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`; as `fetchImage`; `ERR_MEDIA_TYPE_UNSUPPORTED` (a config that is not accepted),
 *   `ERR_DIFFID_MISMATCH` (the manager brought something else), `ERR_TIMEOUT` and `ERR_INTERNAL` naming the part that
 *   hangs, throws or gives what its interface does not know, what the parts throw; the signal's reason
 */
export async function pull(reference: string, config: PullConfig): Promise<PullResult> {
  requireParts(
    config,
    { downloadManager: 'download', imageStore: 'put' },
    { contentStore: 'push', metadataStore: 'add', referenceStore: 'set' },
  );
  if (config.configMediaTypes !== undefined) requireMediaTypes('configMediaTypes', config.configMediaTypes);
  const { signal, onProgress } = config;
  const timeoutMs = partTimeout(config);
  throwIfAborted(signal);
  const parsed = parseReference(reference);
  const { info, options } = await engineRepository(parsed, config, 'pull');
  const { createRepository } = await import('../registry/repository.js');
  const repository = createRepository({ ...parsed, registry: info.host, repository: info.path }, options);
  const { platform } = config;
  const image = await fetchImage(repository, parsed.digest ?? parsed.tag ?? 'latest', { signal, onProgress, platform });
  checkConfigType(image, formatReference(parsed), config.configMediaTypes);
  const ask = <T>(part: string, work: (call: CallOptions) => Promise<T>): Promise<T> =>
    callPart(part, (partSignal) => work({ signal: partSignal, onProgress }), { signal, timeoutMs });
  const diffIds = await download(repository, image, config, timeoutMs * 10);
  const { contentStore, metadataStore, imageStore, referenceStore } = config;
  if (contentStore != null) {
    for (const { descriptor, bytes } of [image.index, image.manifest].filter((document) => document !== undefined)) {
      await ask('the content store', (call) => contentStore.push(bareDescriptor(descriptor), once(bytes), call));
    }
  }
  if (metadataStore != null) {
    for (const [at, { descriptor }] of image.layers.entries()) {
      const { digest, size, mediaType, urls } = descriptor;
      const diffId = diffIds[at];
      if (diffId === undefined) continue;
      const sighting = { digest, size, mediaType, repository: info.name, ...(urls === undefined ? {} : { urls }) };
      await ask('the metadata store', (call) => metadataStore.add(diffId, sighting, call));
    }
  }
  const id = await ask('the image store', (call) => imageStore.put(image.config.bytes, call));
  checkConfigDigest(digestAs(id, image.config.bytes), id);
  if (referenceStore != null) {
    const name = storedName(parsed);
    await ask('the reference store', (call) => referenceStore.set(name, id, call));
  }
  logEvent(config, parsed, info, 'pull');
  const { target, manifest } = image;
  return { id, target, manifest: manifest.descriptor, platform: image.platform, diffIds };
}

/** What a reference is called in a reference store: the digest decides where there is one. */
export function storedName(parsed: Reference): string {
  const { tag: _tag, ...rest } = parsed;
  return formatReference(parsed.digest === undefined ? parsed : rest);
}

/** Bytes as content that can be read again. */
export function once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  return {
    async *[Symbol.asyncIterator]() {
      yield bytes;
    },
  };
}

function checkConfigType(image: Image, name: string, accepted: readonly string[] | undefined): void {
  const found = bareMediaType(image.config.descriptor.mediaType);
  const fits = accepted === undefined ? isConfigType(found) : accepted.map(bareMediaType).includes(found);
  if (fits) return;
  throw new RootfsError(
    'ERR_MEDIA_TYPE_UNSUPPORTED',
    `${name}: its config is of type ${found}, which this engine does not take; it takes ${(accepted ?? ['image configs']).join(', ')}`,
    { detail: { found, accepted } },
  );
}

/** A manager may take long, as long as something moves: bytes that it reads, or events that it reports. */
async function download(
  repository: RegistryRepository,
  image: Image,
  config: PullConfig,
  timeoutMs: number,
): Promise<readonly Digest[]> {
  const found = await callPart(
    'the download manager',
    (signal, alive) => {
      const onProgress: ProgressListener = (event) => {
        alive();
        report(config.onProgress, event);
      };
      return config.downloadManager.download(watched(repository, alive), image.layers, { signal, onProgress });
    },
    { signal: config.signal, timeoutMs },
  );
  if (!Array.isArray(found) || found.length !== image.layers.length) {
    throw wrongAnswer('the download manager', `the diffIDs of ${image.layers.length} layers`, found);
  }
  for (const [at, { descriptor, diffId }] of image.layers.entries()) {
    if (diffId === undefined || found[at] === diffId) continue;
    throw new RootfsError(
      'ERR_DIFFID_MISMATCH',
      `${descriptor.digest}: the download manager says it is ${found[at]}, the image's config says ${diffId}`,
      { detail: { digest: descriptor.digest, expected: diffId, found: found[at] } },
    );
  }
  return found;
}

/** The repository as a manager sees it: whoever reads is alive. */
function watched(repository: RegistryRepository, alive: () => void): LayerSource {
  return {
    async fetch(target, options) {
      alive();
      return watchStream(await repository.fetch(target, options), alive);
    },
    fetchParallelism: (target) => repository.fetchParallelism(target),
    distrust: (target) => repository.distrust(target),
  };
}
