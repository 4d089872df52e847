/** Pushing as an engine does: layers from its own stores, uploaded, mounted or found there, then config and manifest. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { digestOf } from '../io/digest-of.js';
import { wrongAnswer } from '../io/part-error.js';
import { type ProgressListener, report, warn } from '../progress.js';
import type { RegistryRepository } from '../registry/repository.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { parseImageConfig } from '../spec/image-config.js';
import { MediaType } from '../spec/media-types.js';
import { parseReference } from '../spec/reference.js';
import { callPart } from './call-part.js';
import { type EngineConfig, partTimeout, requireMediaTypes, requireParts } from './engine-config.js';
import { engineRepository, logEvent } from './engine-repository.js';
import { checkConfigDigest, digestAs } from './image-config-store.js';
import { chainIdOf } from './layer-chain.js';
import { once, storedName } from './pull.js';
import type { PushLayer, PushLayerProvider } from './push-layer.js';
import type { RepositoryInfo } from './registry-resolver.js';
import { layerTypes, uploadLayer } from './upload-layer.js';
import { type LayerUpload, LayerUploadManager, type UploadManager } from './upload-manager.js';

/** What `push` takes. */
export interface PushConfig extends EngineConfig {
  /** Gives the image's layers. */
  readonly layerProvider: PushLayerProvider;
  /** Decides when layers are uploaded. Default: five at once. */
  readonly uploadManager?: UploadManager | undefined;
  /**
   * The type that the config is pushed as; the manifest's and the layers' types follow it. Default: OCI's. Docker's
   * (`application/vnd.docker.container.image.v1+json`) makes a Docker manifest.
   */
  readonly configMediaType?: string | undefined;
  /** The image, where no reference store knows it by this name. */
  readonly id?: Digest | undefined;
}

/** What was pushed. */
export interface PushResult {
  /** What the tag points at now. */
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  /** Base first. */
  readonly layers: readonly Descriptor[];
}

/**
 * Pushes the image that a name points at, under that name. Layers that the repository has are not sent; those that the
 * metadata store saw in another repository of the registry are mounted where the registry does that; the rest is
 * compressed and uploaded. What it saw as a layer that must not be handed on, and nothing else, is named with its URLs and
 * not sent. The manifest and its tag come last.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_REFERENCE_INVALID` (a digest), `ERR_NOT_FOUND` (no such name, config or layer),
 *   `ERR_CONFIG_INVALID`, `ERR_DIGEST_MISMATCH` (also an upload manager that mixes layers up), `ERR_DIFFID_MISMATCH`,
 *   `ERR_UNSUPPORTED` (a layer that must not be handed on, with no URL), `ERR_NO_SPACE`, `ERR_TIMEOUT` and `ERR_INTERNAL` naming the part that hangs, throws or gives what its interface does
 *   not know, what the parts and the registry throw; the signal's reason
 */
export async function push(reference: string, config: PushConfig): Promise<PushResult> {
  requireParts(
    config,
    { layerProvider: 'get', imageStore: 'get' },
    { metadataStore: 'get', referenceStore: 'get', uploadManager: 'upload' },
  );
  const { signal, onProgress, configMediaType = MediaType.ociConfig } = config;
  requireMediaTypes('configMediaType', [configMediaType]);
  const timeoutMs = partTimeout(config);
  throwIfAborted(signal);
  const parsed = parseReference(reference);
  if (parsed.digest !== undefined) {
    throw new RootfsError('ERR_REFERENCE_INVALID', `${reference}: a digest comes out of a push; give a tag`, {
      detail: { reference },
    });
  }
  const ask = <T>(part: string, work: (call: CallOptions) => Promise<T>): Promise<T> =>
    callPart(part, (partSignal) => work({ signal: partSignal, onProgress }), { signal, timeoutMs });
  const name = storedName(parsed);
  const known = await ask('the reference store', async (call) => config.id ?? config.referenceStore?.get(name, call));
  const id = known ?? undefined;
  if (id === undefined) {
    throw new RootfsError('ERR_NOT_FOUND', `${name}: no image has this name; tag one, or give its id`, {
      detail: { reference: name },
    });
  }
  const bytes = await ask('the image store', (call) => config.imageStore.get(id, call));
  if (!(bytes instanceof Uint8Array)) throw wrongAnswer('the image store', `the bytes of ${id}`, bytes);
  checkConfigDigest(id, digestAs(id, bytes));
  const { diff_ids: diffIds } = parseImageConfig(bytes, { subject: id }).rootfs;
  const { info, options } = await engineRepository(parsed, config, 'push');
  const { createRepository } = await import('../registry/repository.js');
  const repository = createRepository({ ...parsed, registry: info.host, repository: info.path }, options);
  const release = (layers: readonly PushLayer[]): Promise<void> => releaseAll(layers, onProgress, timeoutMs);
  const late = (layer: PushLayer): void => void release(stackOf(layer, diffIds.length));
  const provide = (partSignal: AbortSignal): Promise<PushLayer> =>
    config.layerProvider.get(chainIdOf(diffIds), { signal: partSignal, onProgress });
  const top =
    diffIds.length === 0 ? undefined : await callPart('the layer provider', provide, { signal, timeoutMs, late });
  if (diffIds.length > 0 && (typeof top !== 'object' || top === null)) {
    throw wrongAnswer('the layer provider', `the layer ${diffIds.at(-1)}`, top);
  }
  const stack = stackOf(top, diffIds.length);
  try {
    checkStack(stack, diffIds);
    const types = layerTypes(configMediaType);
    const layers = await upload(stack, { repository, info, config, types, timeoutMs });
    const call = { signal, onProgress };
    const configDescriptor = { mediaType: types.config, digest: id, size: bytes.byteLength };
    await repository.push(configDescriptor, once(bytes), call);
    const manifestBytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: configDescriptor, layers }),
    );
    const digest = digestOf(manifestBytes);
    const manifest = { mediaType: types.manifest, digest, size: manifestBytes.length };
    await repository.pushTagged(manifest, once(manifestBytes), parsed.tag ?? 'latest', call);
    logEvent(config, parsed, info, 'push');
    return { manifest, config: configDescriptor, layers };
  } finally {
    await release(stack);
  }
}

/** The layers, base first; one more than there should be where there are more. */
function stackOf(top: PushLayer | undefined, count: number): readonly PushLayer[] {
  const stack: PushLayer[] = [];
  for (let layer = top; layer && stack.length <= count; layer = layer.parent) stack.unshift(layer);
  return stack;
}

/** @throws RootfsError `ERR_DIFFID_MISMATCH` */
function checkStack(stack: readonly PushLayer[], diffIds: readonly Digest[]): void {
  const found = stack.map((layer) => layer.diffId);
  if (found.length === diffIds.length && diffIds.every((diffId, at) => found[at] === diffId)) return;
  throw new RootfsError(
    'ERR_DIFFID_MISMATCH',
    `the layer provider gave ${found.join(', ')}; the image's config names ${diffIds.join(', ')}`,
    { detail: { expected: diffIds, found } },
  );
}

interface UploadContext {
  readonly repository: RegistryRepository;
  readonly info: RepositoryInfo;
  readonly config: PushConfig;
  readonly types: ReturnType<typeof layerTypes>;
  readonly timeoutMs: number;
}

async function upload(stack: readonly PushLayer[], context: UploadContext): Promise<readonly Descriptor[]> {
  const { config, info, timeoutMs } = context;
  if (stack.length === 0) return [];
  const manager = config.uploadManager ?? new LayerUploadManager();
  const sent = new Map<Digest, readonly Digest[]>();
  const uploads = (alive: () => void): readonly LayerUpload[] =>
    stack.map((layer) => ({
      key: `${info.name} ${context.types.manifest} ${layer.diffId}`,
      async upload(call) {
        const target = await uploadLayer(layer, { ...context, alive }, call);
        sent.set(layer.diffId, [...(sent.get(layer.diffId) ?? []), target.digest]);
        return target;
      },
    }));
  const found = await callPart(
    'the upload manager',
    (signal, alive) => {
      const onProgress: ProgressListener = (event) => {
        alive();
        report(config.onProgress, event);
      };
      return manager.upload(uploads(alive), { signal, onProgress });
    },
    { signal: config.signal, timeoutMs: timeoutMs * 10 },
  );
  if (!Array.isArray(found) || found.length !== stack.length || !found.every(isBlob)) {
    throw wrongAnswer('the upload manager', `the descriptors of ${stack.length} layers`, found);
  }
  for (const [at, { diffId }] of stack.entries()) {
    const [known, told] = [sent.get(diffId), found[at]?.digest];
    // What another push's transfer brought is known to the manager alone.
    if (known === undefined || known.some((digest) => digest === told)) continue;
    throw new RootfsError(
      'ERR_DIGEST_MISMATCH',
      `${diffId}: the upload manager says that it is ${told}, it was uploaded as ${known[0]}; the manager was given to this call, look there`,
      { detail: { part: 'the upload manager', diffId, expected: known[0], found: told } },
    );
  }
  return found;
}

function isBlob(found: Descriptor | null | undefined): boolean {
  return typeof found?.digest === 'string' && typeof found.size === 'number' && typeof found.mediaType === 'string';
}

/** Gives layers back, all at once: one that hangs is told of, and left. */
async function releaseAll(
  layers: readonly PushLayer[],
  onProgress: ProgressListener | undefined,
  timeoutMs: number,
): Promise<void> {
  const release = async (layer: PushLayer): Promise<void> => {
    try {
      await callPart('the layer provider', () => layer.release(), { timeoutMs });
    } catch (error) {
      const message = `a layer could not be released: ${(error as Error).message}`;
      warn(onProgress, message);
    }
  };
  await Promise.all(layers.map(release));
}
