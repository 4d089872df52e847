/** Everything below a manifest or an index: what has to be copied so that it is whole at another place. */

import { RootfsError } from '../errors.js';
import { mapConcurrently } from '../io/concurrency.js';
import type { ArtifactManifest } from '../spec/artifact-manifest.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import type { ImageManifest } from '../spec/image-manifest.js';
import { isIndexType, isManifestType, MediaType } from '../spec/media-types.js';
import type { DocumentReader, ReadDocument } from './document-reader.js';
import type { ImageDocument } from './image.js';
import { MAX_INDEX_DEPTH, readEntry } from './index-entries.js';

/** The most manifests and indexes that are copied under one name. */
export const MAX_COPIED_MANIFESTS = 4096;

/** The most bytes that manifests and indexes copied under one name may have together: 256 MiB. */
export const MAX_COPIED_MANIFEST_BYTES = 256 * 1024 * 1024;

/** A manifest or an index as it is copied: its bytes, verbatim. */
export interface CopiedDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** What names content: an artifact beside the images of an index is copied with them. */
type NamingDocument = ReadDocument | ({ readonly kind: 'artifact' } & ImageDocument<ArtifactManifest>);

/** What lies below a root. */
export interface CopyGraph {
  /** Manifests and indexes, each once, by height: what a document names stands in an earlier group than itself. */
  readonly levels: readonly (readonly CopiedDocument[])[];
  /** Configs, layers and other leaves, each once, in the order in which they are named. */
  readonly blobs: readonly Descriptor[];
  /** Manifests, each once, in the order in which they are named. */
  readonly images: readonly ImageDocument<ImageManifest>[];
}

/**
 * Reads all documents below `root`, several at once.
 *
 * @throws RootfsError `ERR_NOT_FOUND` (an index names what the source does not have), `ERR_LIMIT_EXCEEDED`
 *   (`MAX_COPIED_MANIFESTS`, `MAX_COPIED_MANIFEST_BYTES`, indexes too deep in each other), and what reading throws
 */
export async function copyGraph(root: ReadDocument, reader: DocumentReader, jobs: number): Promise<CopyGraph> {
  const heights = new Map<Digest, number>();
  const documents = new Map<Digest, NamingDocument>([[root.descriptor.digest, root]]);
  const blobs = new Map<Digest, Descriptor>();
  let bytes = root.bytes.byteLength;
  let level: readonly NamingDocument[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    // The manifests of the innermost index are one level more.
    const tooDeep = depth > MAX_INDEX_DEPTH && level.some(({ kind }) => kind === 'index');
    if (tooDeep) throw limit(reader, `indexes lie over ${MAX_INDEX_DEPTH} deep in each other`);
    const children = new Map<Digest, Descriptor>();
    for (const document of level) {
      for (const child of namedBy(document)) {
        if (!isDocument(child)) blobs.set(child.digest, blobs.get(child.digest) ?? child);
        else if (!documents.has(child.digest)) children.set(child.digest, child);
      }
    }
    if (documents.size + children.size > MAX_COPIED_MANIFESTS) {
      throw limit(reader, `over ${MAX_COPIED_MANIFESTS} manifests lie under this name`);
    }
    level = await mapConcurrently(
      [...children.values()],
      async (child, signal) => {
        const read = await readChild(child, reader, signal);
        bytes += read.bytes.byteLength;
        if (bytes > MAX_COPIED_MANIFEST_BYTES) {
          throw limit(reader, `its manifests have over ${MAX_COPIED_MANIFEST_BYTES} bytes together`);
        }
        return read;
      },
      { concurrency: jobs, signal: reader.signal },
    );
    for (const document of level) documents.set(document.descriptor.digest, document);
  }
  heightOf(root, documents, heights);
  const levels: CopiedDocument[][] = [];
  for (const [digest, height] of heights) {
    const document = documents.get(digest);
    if (document === undefined) continue;
    levels[height] ??= [];
    levels[height].push({ descriptor: document.descriptor, bytes: document.bytes });
  }
  const images = [...documents.values()].filter((document) => document.kind === 'manifest');
  return { levels, blobs: [...blobs.values()], images };
}

function namedBy(document: NamingDocument): readonly Descriptor[] {
  if (document.kind === 'artifact') return document.value.blobs ?? [];
  return document.kind === 'index' ? document.value.manifests : [document.value.config, ...document.value.layers];
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType) || mediaType === MediaType.ociArtifact;
}

function readChild(child: Descriptor, reader: DocumentReader, signal: AbortSignal): Promise<NamingDocument> {
  const reading: Promise<NamingDocument> =
    child.mediaType === MediaType.ociArtifact
      ? reader.artifact(child, signal).then((artifact) => ({ kind: 'artifact', ...artifact }))
      : reader.manifest(child, signal);
  return readEntry(reading, child, reader);
}

/** The height of a document: 0 for one that names blobs only. No document can name itself: its digest would change. */
function heightOf(
  document: NamingDocument,
  documents: ReadonlyMap<Digest, NamingDocument>,
  known: Map<Digest, number>,
): number {
  const { digest } = document.descriptor;
  const found = known.get(digest);
  if (found !== undefined) return found;
  let height = 0;
  for (const child of namedBy(document)) {
    const below = documents.get(child.digest);
    if (below !== undefined) height = Math.max(height, heightOf(below, documents, known) + 1);
  }
  known.set(digest, height);
  return height;
}

function limit(reader: DocumentReader, problem: string): RootfsError {
  return new RootfsError('ERR_LIMIT_EXCEEDED', `${reader.name}: ${problem}; copy one platform only`, {
    detail: { image: reader.name },
  });
}
