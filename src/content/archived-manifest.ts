/** From an entry of a docker-archive's list to a manifest that is made for it; its own is in `archived-manifests.ts`. */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { closeAfter } from '../io/close-after.js';
import { digestOf } from '../io/digest-of.js';
import { warn } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isDigest, isVerifiable } from '../spec/digest.js';
import { parseImageConfig } from '../spec/image-config.js';
import { MAX_LAYERS } from '../spec/image-manifest.js';
import { checkLength, readJsonObject } from '../spec/json-document.js';
import { layersOf } from '../spec/layers-of.js';
import { MediaType } from '../spec/media-types.js';
import type { ArchiveEntries } from './archive-entries.js';
import { goneArchive, hashFile, openRegularFile } from './blob-file.js';
import type { CompressedLayer } from './compressed-layer.js';
import type { BlobLocation, CallOptions } from './content.js';
import type { ArchivedImage } from './docker-image-list.js';
import type { Located } from './local-source.js';

/** Digests of files in an archive, by where they lie: several images may have the same layer. */
export type KnownHashes = Map<number, Digest>;

/** A manifest that was made, and where what it names lies. */
export interface MadeManifest {
  readonly manifest: { readonly mediaType: string; readonly bytes: Buffer };
  readonly config: Digest;
  readonly configBytes: Buffer;
  readonly layers: readonly Descriptor[];
  readonly blobs: ReadonlyMap<Digest, Located>;
  /** Layers whose digests were computed here, by these. */
  readonly unproven: ReadonlyMap<Digest, CompressedLayer>;
}

/**
 * Makes a Docker manifest (schema 2) for an image: the config by the digest of its bytes, the layers as they lie in
 * the archive. An uncompressed layer is named by its diffID, one under `blobs/` by its name: neither is hashed here,
 * whoever fetches it verifies it. Other compressed layers are hashed, each once.
 *
 * @param hashes What was hashed for other images of the archive, and is now.
 * @throws RootfsError as `DockerArchive.resolve`
 */
export async function makeManifest(
  image: ArchivedImage,
  entries: ArchiveEntries,
  place: string,
  hashes: KnownHashes,
  options: CallOptions = {},
): Promise<MadeManifest> {
  // Before they are looked at, one after the other: the list may name a million.
  checkLength(image.layers, 'Layers of manifest.json', MAX_LAYERS, place);
  const configAt = entries.find(image.config);
  const configBytes = await entries.readDocument(image.config);
  if (configAt === undefined || configBytes === undefined) throw missing(place, image.config);
  // An image's own manifest names its config as the file is named.
  const config = digestOf(configBytes, SHA512_BLOB.test(image.config) ? 'sha512' : 'sha256');
  checkName(image.config, config, place, options);
  const diffIds = readDiffIds(configBytes, place);
  // Its place, not its bytes: an archive may have thousands of images.
  const blobs = new Map<Digest, Located>([[config, configAt]]);
  const unproven = new Map<Digest, CompressedLayer>();
  const layers: Descriptor[] = [];
  for (const [at, name] of image.layers.entries()) {
    const location = entries.find(name);
    if (location === undefined) throw missing(place, name);
    const diffId = diffIds[at];
    const layer = await describeLayer(name, location, diffId, place, hashes, options.signal);
    blobs.set(layer.digest, location);
    if (diffId !== undefined && hashes.has(location.offset)) unproven.set(layer.digest, { name, location, diffId });
    layers.push(layer);
  }
  const mediaType = MediaType.dockerManifest;
  const document = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: MediaType.dockerConfig, digest: config, size: configBytes.length },
    layers,
  };
  const manifest = { mediaType, bytes: Buffer.from(JSON.stringify(document)) };
  return { manifest, config, configBytes, layers, blobs, unproven };
}

/**
 * Checks a manifest that is to be handed out as the image's: whoever copies it must have an image that can be read.
 *
 * @throws RootfsError `ERR_CONFIG_INVALID` (not as many diffIDs as layers, or no image config), `ERR_LIMIT_EXCEEDED`
 */
export function checkMade({ configBytes, layers }: MadeManifest, place: string): void {
  layersOf(place, { layers }, parseImageConfig(configBytes, { subject: place }));
}

async function describeLayer(
  name: string,
  location: BlobLocation,
  diffId: Digest | undefined,
  place: string,
  hashes: KnownHashes,
  signal: AbortSignal | undefined,
): Promise<Descriptor> {
  throwIfAborted(signal);
  const opened = await openRegularFile(location.path);
  if (opened === undefined) throw goneArchive(place);
  return closeAfter(opened.file, async () => {
    const head = Buffer.alloc(Math.min(16, location.size));
    await opened.file.read(head, 0, head.length, location.offset);
    const mediaType = layerType(head);
    const plain = mediaType === MediaType.dockerLayer;
    const inBlobs = /^(?:\.?\/)*blobs\/(sha256|sha512)\/([0-9a-f]+)$/.exec(name);
    const named = inBlobs === null ? undefined : `${inBlobs[1]}:${inBlobs[2]}`;
    const known = (plain ? diffId : undefined) ?? (named !== undefined && isDigest(named) ? named : undefined);
    const { offset, size } = location;
    const digest = known ?? hashes.get(offset) ?? (await hashFile(opened.file, 'sha256', location, signal));
    if (known === undefined) hashes.set(offset, digest);
    return { mediaType, size, digest };
  });
}

function layerType(head: Buffer): string {
  const hex = head.toString('hex');
  if (hex.startsWith('1f8b')) return MediaType.dockerLayerGzip;
  return /^(?:28b52ffd|5[0-9a-f]2a4d18)/.test(hex) ? MediaType.dockerLayerZstd : MediaType.dockerLayer;
}

/** A config of an archive whose blobs are named by SHA-512. */
const SHA512_BLOB = /(?:^|\/)(blobs\/sha512\/)([0-9a-f]{128})$/;

/**
 * A name is a promise where it says by which algorithm: `blobs/sha256/<hex>`, `sha256:<hex>` (crane, ko). A bare
 * `<hex>.json` is Docker's image ID, or an ID that somebody made up as those of layers were: the bytes decide, as for
 * every other reader, and the difference is told.
 */
function checkName(name: string, found: Digest, place: string, { onProgress }: CallOptions): void {
  const [, promise, hex] =
    SHA512_BLOB.exec(name) ?? /(?:^|\/)(blobs\/sha256\/|sha256:)?([0-9a-f]{64})(?:\.json)?$/.exec(name) ?? [];
  const named: Digest = `${found.slice(0, found.indexOf(':'))}:${hex}`;
  if (hex === undefined || named === found) return;
  if (promise === undefined) {
    const message = `${place}: ${name} is called as an image ID is, but its bytes are ${found}; taking them as they are`;
    warn(onProgress, message);
    return;
  }
  throw new RootfsError(
    'ERR_DIGEST_MISMATCH',
    `${place}: the bytes of ${name} are not what its name says: found ${found}; save the image again, or, where they were changed on purpose, give the file another name, in manifest.json too`,
    { detail: { archive: place, expected: named, found } },
  );
}

/** The diffIDs, as far as they can be read: whoever uses the config checks it. */
function readDiffIds(bytes: Buffer, place: string): readonly (Digest | undefined)[] {
  const kind = { name: 'image config', code: 'ERR_CONFIG_INVALID' } as const;
  const { rootfs } = readJsonObject(bytes, kind, { subject: place });
  const list = typeof rootfs === 'object' && rootfs !== null ? (rootfs as { diff_ids?: unknown }).diff_ids : undefined;
  if (!Array.isArray(list)) return [];
  return list.map((entry) => (typeof entry === 'string' && isVerifiable(entry) ? entry : undefined));
}

function missing(place: string, name: string): RootfsError {
  return new RootfsError(
    'ERR_ARCHIVE_INVALID',
    name === ''
      ? `${place}: a layer in manifest.json has no path; only an engine that has that layer can load this, save the image there`
      : `${place}: manifest.json names ${name}, which is not in the archive; save the image again`,
    { detail: { archive: place, name } },
  );
}
