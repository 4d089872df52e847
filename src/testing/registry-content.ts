/** What the test registry holds: repositories with their manifests, tags, blobs and open uploads. All in memory. */
import { randomUUID } from 'node:crypto';
import { RootfsError } from '../errors.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { type Built, digestOf } from './built.js';

/** A manifest as it is stored: its bytes and the media type it was pushed with. */
export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** An upload that is not finished: the chunks that arrived. */
export interface Upload {
  readonly id: string;
  readonly chunks: Buffer[];
  received: number;
}

/** One repository. */
export interface Repository {
  readonly manifests: Map<Digest, StoredManifest>;
  readonly tags: Map<string, Digest>;
  readonly blobs: Set<Digest>;
  readonly uploads: Map<string, Upload>;
}

/** Everything that a test registry holds. */
export class RegistryContent {
  readonly repositories = new Map<string, Repository>();
  /** Bytes by digest, of every repository; the sets of the repositories say who may see them. */
  readonly bytes: Map<Digest, Buffer> = new Map();

  /** The repository of that name, made where it is missing. */
  repository(name: string): Repository {
    let repository = this.repositories.get(name);
    if (repository === undefined) {
      repository = { manifests: new Map(), tags: new Map(), blobs: new Set(), uploads: new Map() };
      this.repositories.set(name, repository);
    }
    return repository;
  }

  /** Puts what was built into a repository, under a tag if one is given. */
  add(name: string, tag: string | undefined, built: Built): void {
    const repository = this.repository(name);
    for (const [digest, bytes] of built.blobs) {
      const mediaType = built.documents.get(digest);
      if (mediaType === undefined) {
        this.bytes.set(digest, bytes);
        repository.blobs.add(digest);
      } else {
        repository.manifests.set(digest, { mediaType, bytes });
      }
    }
    if (tag !== undefined) repository.tags.set(tag, built.descriptor.digest);
  }

  /** The bytes of a blob, if this repository has it. */
  blob(name: string, digest: Digest): Buffer | undefined {
    return this.repositories.get(name)?.blobs.has(digest) === true ? this.bytes.get(digest) : undefined;
  }

  /** The manifest that a tag or digest names, with its digest. */
  manifest(name: string, reference: string): (StoredManifest & { readonly digest: Digest }) | undefined {
    const repository = this.repositories.get(name);
    const digest = reference.includes(':') ? (reference as Digest) : repository?.tags.get(reference);
    const manifest = digest === undefined ? undefined : repository?.manifests.get(digest);
    return manifest === undefined || digest === undefined ? undefined : { ...manifest, digest };
  }

  /** Starts an upload. */
  startUpload(name: string): Upload {
    const upload: Upload = { id: randomUUID(), chunks: [], received: 0 };
    this.repository(name).uploads.set(upload.id, upload);
    return upload;
  }

  /** Stores a blob if `bytes` hash to `digest`; false if they do not. */
  commit(name: string, digest: string, bytes: Buffer): boolean {
    if (!hashesTo(bytes, digest)) return false;
    this.bytes.set(digest, bytes);
    this.repository(name).blobs.add(digest);
    return true;
  }

  /** The blobs and manifests that a manifest names and this repository does not have. */
  unknownTo(name: string, bytes: Buffer): string[] {
    const repository = this.repository(name);
    const value = JSON.parse(bytes.toString()) as Record<string, unknown>;
    const list = (key: string): { digest?: Digest; urls?: unknown }[] => (Array.isArray(value[key]) ? value[key] : []);
    const config = value['config'] as { digest?: Digest } | undefined;
    const missing: string[] = [];
    for (const { digest, urls } of [
      ...(config === undefined ? [] : [config as { digest?: Digest; urls?: unknown }]),
      ...list('layers'),
    ]) {
      if (digest !== undefined && urls === undefined && !repository.blobs.has(digest)) missing.push(digest);
    }
    for (const { digest } of list('manifests')) {
      if (digest !== undefined && !repository.manifests.has(digest)) missing.push(digest);
    }
    return missing;
  }

  /** The manifests of a repository whose subject is `digest`, as descriptors. */
  referrers(name: string, digest: string): Record<string, unknown>[] {
    const found: Record<string, unknown>[] = [];
    for (const [own, { bytes, mediaType }] of this.repositories.get(name)?.manifests ?? []) {
      const value = parse(bytes);
      if ((value['subject'] as { digest?: string } | undefined)?.digest !== digest) continue;
      const config = value['config'] as { mediaType?: string } | undefined;
      found.push({
        mediaType,
        digest: own,
        size: bytes.length,
        // An empty type says as little as none; of an index without one none is told.
        artifactType: value['artifactType'] || config?.mediaType,
        ...(value['annotations'] === undefined ? {} : { annotations: value['annotations'] }),
      });
    }
    return found;
  }
}

/** The JSON object in `bytes`, or an empty one. */
function parse(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Whether `text` is a digest that can be checked, and `bytes` hash to it. */
export function hashesTo(bytes: Buffer, text: string): text is Digest {
  try {
    return digestOf(bytes, requireVerifiable(text).algorithm) === text;
  } catch (error) {
    if (error instanceof RootfsError) return false;
    throw error;
  }
}
