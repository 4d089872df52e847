/** What a reference offers: for people who choose, and for tools that take everything. */
import type { CallOptions, ReadOnlyTarget } from '../content/content.js';
import { throwIfAborted } from '../io/abort.js';
import { checkByteLimit, MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { describeArtifact } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isUnknownPlatform, type Platform, platformOf } from '../spec/platform.js';
import { DocumentReader } from './document-reader.js';
import { imageFailure } from './image-failure.js';
import { imageName } from './image-name.js';
import { allEntries } from './index-entries.js';
import { requireSource } from './require-source.js';

/** One manifest behind a reference. */
export interface OfferedPlatform {
  /** Absent where neither the index nor, for a single manifest, the config says it. */
  readonly platform?: Platform | undefined;
  readonly digest: Digest;
  /** Size of the manifest in bytes. */
  readonly size: number;
  readonly mediaType: string;
  /** Provenance or an SBOM beside the images, not an image. */
  readonly attestation: boolean;
  readonly descriptor: Descriptor;
}

/** Options of `listPlatforms`. */
export interface ListPlatformsOptions extends CallOptions {
  /** The most bytes that an index, a manifest or a config may have; 4 MiB when absent. */
  readonly maxManifestBytes?: number | undefined;
}

/**
 * Lists what a reference points at: the entries of its index in order, those of indexes inside it in their place, or
 * the one manifest. Entries that do not say their platform are not read to learn it.
 *
 * @throws RootfsError as `fetchImage`; or the signal's own reason
 */
export async function listPlatforms(
  source: ReadOnlyTarget,
  reference: string,
  options: ListPlatformsOptions = {},
): Promise<readonly OfferedPlatform[]> {
  const { signal, onProgress } = options;
  const maxBytes = checkByteLimit('maxManifestBytes', options.maxManifestBytes ?? MAX_DOCUMENT_BYTES);
  requireSource(source, reference);
  throwIfAborted(signal);
  try {
    const reader = new DocumentReader(source, reference, { signal, onProgress, maxBytes });
    const target = await reader.target();
    if (target.kind === 'index') {
      const entries = await allEntries(target.value, reader);
      return entries.map(({ descriptor, platform, attestation }) => offer(descriptor, platform, attestation));
    }
    const isImage = describeArtifact(target.value) === undefined;
    const platform = isImage ? platformOf((await reader.config(target.value.config)).value) : undefined;
    const says = platform !== undefined && !isUnknownPlatform(platform);
    return [offer(target.descriptor, says ? platform : undefined, false)];
  } catch (error) {
    throw imageFailure(error, imageName(source, reference), signal);
  }
}

function offer(descriptor: Descriptor, platform: Platform | undefined, attestation: boolean): OfferedPlatform {
  const { digest, size, mediaType } = descriptor;
  return { ...(platform === undefined ? {} : { platform }), digest, size, mediaType, attestation, descriptor };
}
