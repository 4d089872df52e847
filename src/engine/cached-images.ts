/** The images in the image cache, with what belongs to each: read from its index and its manifests, nothing else. */
import { readVerified } from '../content/fetch-verified.js';
import type { OciLayout } from '../content/oci-layout.js';
import { RootfsError } from '../errors.js';
import { MAX_INDEX_DEPTH } from '../image/index-entries.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isIndexType, isManifestType, MediaType } from '../spec/media-types.js';
import { blobStat, imageLastUsed } from './image-use.js';

/** One image: what a name, or several, point at. */
export interface ImageContents {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Full references; empty for an image that was fetched by its digest. */
  readonly names: readonly string[];
  /** When it was last used, in milliseconds since the epoch. */
  readonly usedAt: number;
  /** The sizes of all content that belongs to it and is here, in bytes, by digest; the root is among it. */
  readonly present: ReadonlyMap<Digest, number>;
  /** Content that belongs to it and is not here. */
  readonly missing: ReadonlySet<Digest>;
}

/**
 * Reads which images are in the layout in `folder`. A manifest that is damaged counts as one that names nothing.
 *
 * @throws RootfsError `ERR_MANIFEST_INVALID`, `ERR_LAYOUT_INVALID` (`index.json`), `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function readImages(folder: string, layout: OciLayout): Promise<readonly ImageContents[]> {
  const roots = new Map<Digest, { readonly entry: Descriptor; readonly names: string[] }>();
  for await (const { descriptor: entry } of layout.entries()) {
    const root = roots.get(entry.digest) ?? { entry, names: [] };
    const name = entry.annotations?.[Annotation.refName];
    if (name !== undefined) root.names.push(name);
    roots.set(entry.digest, root);
  }
  const images: ImageContents[] = [];
  for (const { entry, names } of roots.values()) {
    const { present, missing } = await below(folder, layout, entry);
    const { digest, mediaType } = entry;
    images.push({ digest, mediaType, names, present, missing, usedAt: await imageLastUsed(folder, digest) });
  }
  return images;
}

/** Everything that belongs to a root which is named by nobody, for a lease. */
export async function contentsBelow(folder: string, layout: OciLayout, root: Digest): Promise<ReadonlySet<Digest>> {
  const size = (await blobStat(folder, root))?.size;
  if (size === undefined || size > MAX_DOCUMENT_BYTES) return new Set([root]);
  // Whether it is a manifest or an index, it says itself.
  const { present, missing } = await below(folder, layout, { mediaType: MediaType.ociManifest, digest: root, size });
  return new Set([...present.keys(), ...missing]);
}

async function below(
  folder: string,
  layout: OciLayout,
  root: Descriptor,
): Promise<{ readonly present: Map<Digest, number>; readonly missing: Set<Digest> }> {
  const { parseManifestOrIndex } = await import('../spec/image-document.js');
  const present = new Map<Digest, number>();
  const missing = new Set<Digest>();
  let level: readonly Descriptor[] = [root];
  // What the innermost manifests name is one level more.
  for (let depth = 0; depth <= MAX_INDEX_DEPTH + 1 && level.length > 0; depth += 1) {
    const next: Descriptor[] = [];
    for (const target of level) {
      if (present.has(target.digest) || missing.has(target.digest)) continue;
      const found = await blobStat(folder, target.digest);
      if (found?.isFile() !== true) {
        missing.add(target.digest);
        continue;
      }
      present.set(target.digest, found.size);
      if (!isIndexType(target.mediaType) && !isManifestType(target.mediaType)) continue;
      try {
        const document = parseManifestOrIndex(await readVerified(layout, target), {});
        if (document.kind === 'index') next.push(...document.value.manifests);
        else next.push(document.value.config, ...document.value.layers);
      } catch (error) {
        if (!(error instanceof RootfsError)) throw error;
      }
    }
    level = next;
  }
  return { present, missing };
}
