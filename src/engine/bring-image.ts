/** What hangs below a manifest or an index, read through whoever keeps what it reads. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { MAX_COPIED_MANIFEST_BYTES, MAX_COPIED_MANIFESTS } from '../image/copy-graph.js';
import { MAX_INDEX_DEPTH } from '../image/index-entries.js';
import { throwIfAborted } from '../io/abort.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isForeignLayer, isIndexType, isManifestType } from '../spec/media-types.js';

/** What was found below a root. */
export interface ImageBelow {
  /** The manifests and indexes, the root first; all of them were read. */
  readonly documents: ReadonlySet<Digest>;
  /** Configs and layers, each once, but those layers that are not handed on. */
  readonly blobs: readonly Descriptor[];
}

/**
 * Reads the documents from `root` down. What an index lists and its repository does not have is passed over: an index
 * may be published with fewer images than it names.
 *
 * @param read Gives the verified bytes of a document; `undefined` where it cannot keep it.
 * @returns `undefined` where the root could not be kept
 * @throws RootfsError `ERR_LIMIT_EXCEEDED` (`MAX_INDEX_DEPTH`, `MAX_COPIED_MANIFESTS`, `MAX_COPIED_MANIFEST_BYTES`),
 *   `ERR_MANIFEST_INVALID`, what `read` throws
 */
export async function bringImage(
  root: Descriptor,
  read: (target: Descriptor, options: CallOptions) => Promise<Buffer | undefined>,
  options: CallOptions,
): Promise<ImageBelow | undefined> {
  const { parseManifestOrIndex } = await import('../spec/image-document.js');
  const documents = new Set<Digest>();
  const blobs = new Map<Digest, Descriptor>();
  let size = 0;
  let level: readonly Descriptor[] = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_INDEX_DEPTH) throw tooMuch(root, `indexes lie over ${MAX_INDEX_DEPTH} deep in each other`);
    const next: Descriptor[] = [];
    for (const target of level) {
      throwIfAborted(options.signal);
      if (documents.has(target.digest)) continue;
      const bytes = await read(target, options).catch((error: unknown) => {
        if (target !== root && error instanceof RootfsError && error.code === 'ERR_NOT_FOUND') return undefined;
        throw error;
      });
      if (bytes === undefined) {
        if (target === root) return undefined;
        continue;
      }
      documents.add(target.digest);
      size += bytes.byteLength;
      if (documents.size > MAX_COPIED_MANIFESTS) {
        throw tooMuch(root, `over ${MAX_COPIED_MANIFESTS} manifests lie under this name`);
      }
      if (size > MAX_COPIED_MANIFEST_BYTES) {
        throw tooMuch(root, `its manifests have over ${MAX_COPIED_MANIFEST_BYTES} bytes together`);
      }
      const document = parseManifestOrIndex(bytes, { subject: target.digest, mediaType: target.mediaType });
      if (document.kind === 'index') next.push(...document.value.manifests.filter(isDocument));
      else
        for (const blob of [document.value.config, ...document.value.layers])
          if (!isForeignLayer(blob)) blobs.set(blob.digest, blob);
    }
    level = next;
  }
  return { documents, blobs: [...blobs.values()] };
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType);
}

function tooMuch(root: Descriptor, problem: string): RootfsError {
  return new RootfsError('ERR_LIMIT_EXCEEDED', `${root.digest}: ${problem}; ask for one platform only`, {
    detail: { digest: root.digest },
  });
}
