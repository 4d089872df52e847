/** From a reference to an image: everything above the layers, verified. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { type ProgressListener, report, warn } from '../progress.js';
import { describeArtifact } from '../spec/artifact.js';
import type { ImageConfig } from '../spec/image-config.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { layersOf } from '../spec/layers-of.js';
import {
  formatPlatform,
  hostPlatform,
  isUnknownPlatform,
  normalizePlatform,
  type Platform,
  parsePlatform,
  platformOf,
} from '../spec/platform.js';
import { rankPlatform } from '../spec/rank-platform.js';
import { shortText } from '../spec/short-text.js';
import { DocumentReader } from './document-reader.js';
import type { Image, ImageDocument } from './image.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { pickManifest } from './pick-manifest.js';
import { requireSource } from './require-source.js';

/** Options of `fetchImage`. */
export interface FetchImageOptions extends CallOptions {
  /** The platform wanted, as a value or as `os/architecture[/variant]`; the host's when absent. */
  readonly platform?: Platform | string | undefined;
  /** The most bytes that an index, a manifest or a config may have; 4 MiB when absent. */
  readonly maxManifestBytes?: number | undefined;
}

/**
 * Fetches what lies above an image's layers: the index where there is one, the manifest for the platform, the config.
 * Each is verified against its digest and checked; nothing else is read, and no layer.
 *
 * From an index the best match is taken (see `rankPlatform`). A single manifest of another platform is an error when
 * the platform was asked for and a warning (`warning:raised`) when it was not. The architecture may be another that
 * such machines run (`arm` on `arm64`, `386` on `amd64`): a warning says so.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_PLATFORM_NOT_FOUND`, `ERR_PLATFORM_INVALID`, `ERR_OPTION_INVALID`,
 *   `ERR_REFERENCE_INVALID`, `ERR_NOT_AN_IMAGE`, `ERR_SCHEMA1_UNSUPPORTED`, `ERR_MANIFEST_INVALID`,
 *   `ERR_CONFIG_INVALID` (also: not as many diffIDs as layers), `ERR_LIMIT_EXCEEDED`, `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DIGEST_UNSUPPORTED`,
 *   what the source throws; or the signal's own reason
 */
export async function fetchImage(
  source: ReadOnlyTarget,
  reference: string,
  options: FetchImageOptions = {},
): Promise<Image> {
  requireSource(source, reference);
  const { signal, onProgress } = options;
  const asked = options.platform === undefined ? undefined : platformOption(options.platform);
  const wanted = asked ?? hostPlatform();
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  throwIfAborted(signal);
  try {
    const reader = new DocumentReader(source, reference, { signal, onProgress, maxBytes });
    const { name } = reader;
    const target = await reader.target();
    const { digest, mediaType } = target.descriptor;
    report(onProgress, { type: 'image:resolved', reference: name, digest, mediaType });
    const picked = target.kind === 'index' ? await pickManifest(target.value, wanted, reader) : undefined;
    const manifest = picked?.manifest ?? (target as ImageDocument<ImageManifest>);
    refuseArtifact(name, manifest.value);
    const config = picked?.config ?? (await reader.config(manifest.value.config));
    const layers = layersOf(name, manifest.value, config.value);
    const platform = settlePlatform(config.value, picked?.platform ?? target.descriptor.platform);
    if (picked === undefined) checkSingle(name, wanted, platform, asked !== undefined, onProgress);
    else if (normalizePlatform(picked.platform).architecture !== normalizePlatform(wanted).architecture) {
      warn(
        onProgress,
        `${name}: no image for ${formatPlatform(wanted)}; taking ${formatPlatform(picked.platform)}, which such machines run`,
      );
    }
    throwIfAborted(signal);
    return {
      reference,
      target: target.descriptor,
      ...(target.kind === 'index' ? { index: documentOf(target) } : {}),
      manifest: documentOf(manifest),
      config,
      platform,
      layers,
    };
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}

function platformOption(platform: Platform | string): Platform {
  if (typeof platform === 'string') return parsePlatform(platform);
  if (typeof platform?.os === 'string' && typeof platform.architecture === 'string') return platform;
  throw new RootfsError(
    'ERR_PLATFORM_INVALID',
    `platform: ${JSON.stringify(platform)} is not a platform; expected os and architecture, or text as in linux/amd64`,
  );
}

function documentOf<T>({ descriptor, bytes, value }: ImageDocument<T>): ImageDocument<T> {
  return { descriptor, bytes, value };
}

function refuseArtifact(name: string, manifest: ImageManifest): void {
  const artifact = describeArtifact(manifest);
  if (artifact === undefined) return;
  throw new RootfsError(
    'ERR_NOT_AN_IMAGE',
    `${name}: not an image but ${artifact}; only images have a root file system`,
    { detail: { image: name, found: artifact, configMediaType: manifest.config.mediaType } },
  );
}

/** The config knows best; the index's entry, a layout's too, fills in what it leaves out. */
function settlePlatform(config: ImageConfig, entry: Platform | undefined): Platform {
  const own = platformOf(config);
  if (entry === undefined || isUnknownPlatform(entry)) return own;
  const architecture = own.architecture === '' ? entry.architecture : own.architecture;
  const same = normalizePlatform(own).architecture === normalizePlatform(entry).architecture;
  const variant = own.variant ?? (same || own.architecture === '' ? entry.variant : undefined);
  return platformOf({ ...entry, ...own, architecture, os: own.os === '' ? entry.os : own.os, variant });
}

/** A manifest that no index led to: nobody has chosen its platform yet. */
function checkSingle(
  name: string,
  wanted: Platform,
  found: Platform,
  explicit: boolean,
  onProgress: ProgressListener | undefined,
): void {
  const want = formatPlatform(wanted);
  if (isUnknownPlatform(found)) {
    if (explicit) warn(onProgress, `${name}: the image does not say its platform; ${want} was asked for`);
    return;
  }
  // A config that leaves its variant out, as most do, its system or its architecture makes no statement that could
  // contradict.
  const named = { ...found, os: found.os || wanted.os, architecture: found.architecture || wanted.architecture };
  const offered = found.variant === undefined ? { ...named, variant: wanted.variant } : named;
  const sameArchitecture = normalizePlatform(named).architecture === normalizePlatform(wanted).architecture;
  const serves = rankPlatform(wanted, sameArchitecture ? offered : named) !== undefined;
  if (serves && sameArchitecture && explicit && found.architecture === '') {
    warn(onProgress, `${name}: the image does not say its architecture; ${want} was asked for`);
  }
  if (serves && sameArchitecture) return;
  const is = shortText(formatPlatform(found));
  if (!serves && explicit) {
    throw new RootfsError(
      'ERR_PLATFORM_NOT_FOUND',
      `${name}: no image for ${want}; the only image there is for ${is}; ask for that, or for no platform`,
      { detail: { image: name, platform: want, platforms: [is] } },
    );
  }
  warn(onProgress, `${name}: the image is for ${is}, not for ${want}`);
}
