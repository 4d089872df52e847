/**
 * What lies in an image archive, and in which order: one form that every reader takes. `manifest.json` is what
 * `docker load` has always read; `oci-layout`, `index.json` and `blobs/` are what Docker 25, containerd and the OCI
 * tools read. Small files come first, so that a reader of a stream knows what follows.
 *
 * @see https://github.com/moby/moby/blob/v25.0.0/image/spec/spec.md
 */
import { archivedBlob, type Member } from '../content/member.js';
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import type { CopiedDocument } from './copy-graph.js';
import type { Image } from './image.js';

/** The forms that an image can be written in besides stores. */
export type ArchiveForm = 'docker-archive' | 'oci-archive' | 'dir';

/** One root in an archive: an image, or an index with everything below it. */
export interface ArchiveRoot {
  readonly root: CopiedDocument;
  /** Names in `index.json`: `io.containerd.image.name`, where they are full references. */
  readonly names: readonly ArchiveName[];
  /** The image, for `manifest.json`; absent for an index. */
  readonly image?: Image | undefined;
  /** Manifests and indexes, the root among them. */
  readonly documents: readonly CopiedDocument[];
  /** Config first, layers after it, base first. */
  readonly blobs: readonly Descriptor[];
}

/** A name of an image in an archive. */
export interface ArchiveName {
  /** `org.opencontainers.image.ref.name`: a tag, or whatever was asked for. */
  readonly refName: string;
  /** In full: `docker.io/library/alpine:3`. */
  readonly fullName?: string | undefined;
  /** As `docker load` shows it: `alpine:3`. */
  readonly repoTag?: string | undefined;
}

/** The files of an archive of these images, in order. Each blob is there once, however often it is named. */
export function archiveMembers(roots: readonly ArchiveRoot[]): readonly Member[] {
  const entries = roots.flatMap(indexEntries);
  const images = roots.filter((root) => root.image !== undefined);
  const list = images.map((root) => listEntry(root, entries.length > 1));
  const blobs = new Map<Digest, Member>();
  const add = (content: Member['content'], digest: Digest): void => {
    if (!blobs.has(digest)) blobs.set(digest, { name: archivedBlob(digest), content });
  };
  for (const { documents, blobs: below } of roots) {
    for (const { descriptor, bytes } of documents) add(bytes, descriptor.digest);
    for (const descriptor of below) add(descriptor, descriptor.digest);
  }
  return [
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: entries }),
    ...(list.length === 0 ? [] : [json('manifest.json', list)]),
    ...blobs.values(),
  ];
}

function indexEntries({ root, names }: ArchiveRoot): readonly Descriptor[] {
  const { mediaType, digest, size } = root.descriptor;
  if (names.length === 0) return [{ mediaType, digest, size }];
  return names.map(({ refName, fullName }) => ({
    mediaType,
    digest,
    size,
    annotations: {
      ...(fullName === undefined ? {} : { [Annotation.containerdImageName]: fullName }),
      [Annotation.refName]: refName,
    },
  }));
}

/**
 * podman reads an archive by its `index.json` where that has one entry, else by this list; there it takes the familiar
 * name of an image from Docker Hub for one of its own, `localhost/alpine`. `docker load` reads both.
 *
 * @param inFull Whether names are written in full.
 */
function listEntry({ image, names }: ArchiveRoot, inFull: boolean): Record<string, unknown> {
  const { value } = (image as Image).manifest;
  const tags = names.flatMap(({ repoTag, fullName }) => (inFull ? fullName : repoTag) ?? []);
  return {
    Config: archivedBlob(value.config.digest),
    RepoTags: tags.length === 0 ? null : tags,
    Layers: value.layers.map(({ digest }) => archivedBlob(digest)),
  };
}

function json(name: string, value: unknown): Member {
  return { name, content: Buffer.from(JSON.stringify(value)) };
}
