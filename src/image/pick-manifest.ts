/** From an index to the one manifest that serves a platform. */
import { listNames } from '../content/image-names.js';
import { RootfsError } from '../errors.js';
import { describeArtifact, describeArtifactType } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { ImageConfig } from '../spec/image-config.js';
import type { ImageIndex } from '../spec/image-index.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { isConfigType, isIndexType, isManifestType, isSchema1Type } from '../spec/media-types.js';
import { formatPlatform, isUnknownPlatform, type Platform, platformOf } from '../spec/platform.js';
import { isExactRank, rankPlatform } from '../spec/rank-platform.js';
import type { DocumentReader } from './document-reader.js';
import type { ImageDocument } from './image.js';
import { allEntries, type IndexEntry, ownEntries, readEntry, unlessMissing } from './index-entries.js';

/** The most entries without a platform whose configs are read to learn theirs. */
export const MAX_PROBED_ENTRIES = 64;

/** The manifest that was picked. */
export interface PickedManifest {
  readonly manifest: ImageDocument<ImageManifest>;
  /** Present where the config had to be read to know the platform. */
  readonly config?: ImageDocument<ImageConfig> | undefined;
  /** The platform by which it was picked. */
  readonly platform: Platform;
}

/**
 * Picks the manifest of an index that serves `wanted` best. Ties go to the first in the index; entries that do not say
 * their platform come last, by their config's; attestations and entries of unknown types are passed over.
 *
 * Indexes inside are read only when the outer one has no exact match.
 *
 * @throws RootfsError `ERR_PLATFORM_NOT_FOUND` (message and detail list what there is), `ERR_NOT_AN_IMAGE`,
 *   `ERR_SCHEMA1_UNSUPPORTED`, `ERR_LIMIT_EXCEEDED`, and what reading throws
 */
export async function pickManifest(
  index: ImageIndex,
  wanted: Platform,
  reader: DocumentReader,
): Promise<PickedManifest> {
  const exact = best(ownEntries(index).filter(isPlainImage), wanted);
  if (exact !== undefined && isExactRank(exact.rank)) return read(exact.entry, exact.platform, reader);
  const entries = await allEntries(index, reader, wanted);
  const images = entries.filter(isImage);
  const found = best(images.filter(isPlainImage), wanted) ?? best(images, wanted);
  if (found !== undefined) return read(found.entry, found.platform, reader);
  const silent = images.filter((entry) => entry.platform === undefined);
  const probed = await probe(silent, wanted, reader);
  if (probed.picked !== undefined) return probed.picked;
  throw nothingFound(index, wanted, reader.name, entries, probed);
}

interface Ranked {
  readonly entry: IndexEntry;
  readonly platform: Platform;
  readonly rank: number;
}

function isImage({ descriptor, attestation }: IndexEntry): boolean {
  return !attestation && isManifestType(descriptor.mediaType);
}

/** An entry that calls itself an artifact stands back behind those that do not. */
function isPlainImage(entry: IndexEntry): boolean {
  const { artifactType = '' } = entry.descriptor;
  return isImage(entry) && (artifactType === '' || isConfigType(artifactType));
}

function best(entries: readonly IndexEntry[], wanted: Platform): Ranked | undefined {
  let found: Ranked | undefined;
  for (const entry of entries) {
    const { platform } = entry;
    const rank = platform === undefined ? undefined : rankPlatform(wanted, platform);
    if (platform === undefined || rank === undefined) continue;
    if (found === undefined || rank < found.rank) found = { entry, platform, rank };
  }
  return found;
}

async function read(entry: IndexEntry, platform: Platform, reader: DocumentReader): Promise<PickedManifest> {
  const reading = readManifest(entry.descriptor, reader);
  return { manifest: await readEntry(reading, entry.descriptor, reader, platform), platform };
}

async function readManifest(descriptor: Descriptor, reader: DocumentReader): Promise<ImageDocument<ImageManifest>> {
  const document = await reader.manifest(descriptor);
  if (document.kind === 'manifest') return { descriptor, bytes: document.bytes, value: document.value };
  throw new RootfsError(
    'ERR_MANIFEST_INVALID',
    `${reader.name}: ${descriptor.digest} is an index, where an image manifest was announced; ask who publishes it`,
    { detail: { digest: descriptor.digest } },
  );
}

interface Probed {
  readonly picked?: PickedManifest | undefined;
  readonly platforms: readonly Platform[];
  readonly artifacts: readonly string[];
}

/** Reads manifest and config of entries that do not say their platform, until one is exact. */
async function probe(entries: readonly IndexEntry[], wanted: Platform, reader: DocumentReader): Promise<Probed> {
  let found: { readonly picked: PickedManifest; readonly rank: number } | undefined;
  const platforms: Platform[] = [];
  const artifacts: string[] = [];
  for (const { descriptor } of entries.slice(0, MAX_PROBED_ENTRIES)) {
    const manifest = await unlessMissing(readManifest(descriptor, reader));
    if (manifest === undefined) continue;
    const artifact = describeArtifact(manifest.value);
    if (artifact !== undefined) {
      artifacts.push(artifact);
      continue;
    }
    const config = await reader.config(manifest.value.config);
    const platform = platformOf(config.value);
    if (isUnknownPlatform(platform)) continue;
    platforms.push(platform);
    const rank = rankPlatform(wanted, platform);
    if (rank === undefined || (found !== undefined && rank >= found.rank)) continue;
    found = { picked: { manifest, config, platform }, rank };
    if (isExactRank(rank)) break;
  }
  return { picked: found?.picked, platforms, artifacts };
}

function nothingFound(
  index: ImageIndex,
  wanted: Platform,
  name: string,
  entries: readonly IndexEntry[],
  { platforms, artifacts }: Probed,
): RootfsError {
  const told = entries
    .filter((entry) => isImage(entry) || (!entry.attestation && isIndexType(entry.descriptor.mediaType)))
    .flatMap(({ platform }) => platform ?? []);
  const offered = [...new Set([...told, ...platforms].map(formatPlatform))];
  const want = formatPlatform(wanted);
  const detail = { image: name, platform: want, platforms: offered };
  if (offered.length > 0) {
    return new RootfsError(
      'ERR_PLATFORM_NOT_FOUND',
      `${name}: no image for ${want}; the index offers ${listNames(offered, 100)}; ask for one of these`,
      { detail },
    );
  }
  if (entries.some(({ descriptor }) => isSchema1Type(descriptor.mediaType))) {
    return new RootfsError(
      'ERR_SCHEMA1_UNSUPPORTED',
      `${name}: the index holds Docker schema 1 manifests only, deprecated since 2017 and not read here; rebuild or re-push the image with a current tool`,
      { detail },
    );
  }
  const held = new Set(artifacts);
  for (const { descriptor, attestation } of entries) {
    if (attestation) held.add('attestations');
    else if (!isManifestType(descriptor.mediaType)) {
      held.add(describeArtifactType(descriptor.mediaType) ?? `content of type ${descriptor.mediaType}`);
    }
  }
  if (held.size === 0 && (index.artifactType ?? '') !== '') held.add(`an artifact of type ${index.artifactType}`);
  if (held.size > 0) {
    return new RootfsError(
      'ERR_NOT_AN_IMAGE',
      `${name}: the index holds no image, but ${[...held].slice(0, 5).join(', ')}; only images have a root file system`,
      { detail: { ...detail, found: [...held] } },
    );
  }
  const problem =
    entries.length === 0
      ? 'the index is empty; ask who publishes it'
      : 'the index names images, but none says its platform; name the one wanted by its digest';
  return new RootfsError('ERR_PLATFORM_NOT_FOUND', `${name}: no image for ${want}; ${problem}`, { detail });
}
