/** What an index offers, indexes inside it followed: bounded in depth and number, each read once. */
import { RootfsError } from '../errors.js';
import { isAttestation } from '../spec/artifact.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { ImageIndex } from '../spec/image-index.js';
import { isIndexType } from '../spec/media-types.js';
import { formatPlatform, isUnknownPlatform, type Platform } from '../spec/platform.js';
import { rankPlatform } from '../spec/rank-platform.js';
import type { DocumentReader } from './document-reader.js';

/** How deep indexes may lie in indexes. */
export const MAX_INDEX_DEPTH = 8;

/** The most indexes that are read inside one. */
export const MAX_NESTED_INDEXES = 64;

/** An entry of an index; an index itself only where it was not followed. */
export interface IndexEntry {
  readonly descriptor: Descriptor;
  /** What the entry says it is for; absent where it does not say. */
  readonly platform?: Platform | undefined;
  /** Provenance or an SBOM beside the images. */
  readonly attestation: boolean;
}

/** The entries of one index, in order, indexes inside it not followed. */
export function ownEntries(index: ImageIndex): readonly IndexEntry[] {
  return index.manifests.map((descriptor) => {
    const { platform } = descriptor;
    const attestation = isAttestation(descriptor);
    const says = platform !== undefined && !isUnknownPlatform(platform);
    return says ? { descriptor, platform, attestation } : { descriptor, attestation };
  });
}

/**
 * The entries of an index, those of the indexes inside it in their place. Indexes inside that say a platform which
 * cannot serve `wanted` are not read and stand for themselves; those that are missing from the source (a partial
 * mirror) are passed over.
 *
 * @throws RootfsError `ERR_LIMIT_EXCEEDED` (`MAX_INDEX_DEPTH`, `MAX_NESTED_INDEXES`), and what reading throws
 */
export async function allEntries(
  index: ImageIndex,
  reader: DocumentReader,
  wanted?: Platform,
): Promise<readonly IndexEntry[]> {
  const seen = new Set<string>();
  const walk = async (inner: ImageIndex, depth: number): Promise<IndexEntry[]> => {
    const entries: IndexEntry[] = [];
    for (const entry of ownEntries(inner)) {
      const { descriptor, platform } = entry;
      const unfit = wanted !== undefined && platform !== undefined && rankPlatform(wanted, platform) === undefined;
      if (entry.attestation || unfit || !isIndexType(descriptor.mediaType)) {
        entries.push(entry);
        continue;
      }
      if (seen.has(descriptor.digest)) continue;
      seen.add(descriptor.digest);
      if (depth > MAX_INDEX_DEPTH) throw limit(reader, `indexes lie over ${MAX_INDEX_DEPTH} deep in each other`);
      if (seen.size > MAX_NESTED_INDEXES) throw limit(reader, `the index holds over ${MAX_NESTED_INDEXES} indexes`);
      const document = await unlessMissing(reader.manifest(descriptor));
      if (document?.kind === 'index') entries.push(...(await walk(document.value, depth + 1)));
    }
    return entries;
  };
  return walk(index, 1);
}

/** What was read, or `undefined` where the source does not have it. */
export async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * What was read of an index's entry.
 *
 * @param platform What the index has it for, where one was wanted.
 * @throws RootfsError `ERR_NOT_FOUND`, of the entry: whoever asked for the index has not named it
 */
export async function readEntry<T>(
  reading: Promise<T>,
  { digest }: Descriptor,
  reader: DocumentReader,
  platform?: Platform,
): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof RootfsError) || error.code !== 'ERR_NOT_FOUND') throw error;
    const named = platform === undefined ? digest : `${digest} for ${formatPlatform(platform)}`;
    const other = platform === undefined ? 'one platform' : 'another platform';
    // A cache that asks nobody says so: the image itself may be whole.
    const advice =
      error.detail['offline'] === true
        ? 'run once without --offline but with --cache to fetch it'
        : `name ${other} that is there, or ask who publishes it`;
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${reader.name}: its index names ${named}, which the source does not have; ${advice}`,
      { cause: error, detail: { image: reader.name, digest } },
    );
  }
}

function limit(reader: DocumentReader, problem: string): RootfsError {
  return new RootfsError('ERR_LIMIT_EXCEEDED', `${reader.name}: ${problem}; name the image wanted by its digest`, {
    detail: { image: reader.name },
  });
}
