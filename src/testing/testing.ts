/**
 * `rootfs-kit/testing`: a registry inside the process, and images built in code, for your own tests.
 *
 * Six lines give a test a registry with a three-layer image that drops every connection after 64 KiB:
 *
 * ```ts
 * import { image, startRegistry } from 'rootfs-kit/testing';
 *
 * const big = Buffer.alloc(200_000, 'rootfs');
 * const app = image().compression('none');
 * for (const name of ['base', 'middle', 'top']) app.layer((layer) => layer.dir(name).file(`${name}/data`, big));
 * await using registry = await startRegistry({ faults: [{ on: 'blob', do: 'cut', after: 64 * 1024 }] });
 * registry.add('team/app', 'latest', app.build());
 * await yourPull(`${registry.host}/team/app:latest`); // then look at registry.log
 * ```
 *
 * - `image()` and `index()` build images byte by byte, right or wrong: whiteouts, hard links, devices, xattrs, every
 *   dialect of tar, gzip and zstd, OCI and Docker. `writeLayout` puts them on disk, `registry.add` into a registry.
 * - `startRegistry()` listens on 127.0.0.1 on a port that the system chooses, http or https, speaks pull and push, and
 *   asks for credentials if told to. `registry.fault(...)` makes it misbehave: see `Fault` for what there is.
 *   `registry.log` counts requests, bytes and leaked credentials.
 * - `randomImage(seed)` gives images full of corners, and the tree that each must become.
 *
 * Everything stays in memory. This file is the face of the subpath and holds no code. The room behind it knows the
 * specifications' words and the wire; it must not know the client, so that the one can be tested against the other.
 */
export { type Built, describe, digestOf, document } from './built.js';
export { type Certificate, type CertificateOptions, createCertificate } from './certificate.js';
export { type Compression, type CompressionOptions, compress } from './compress.js';
export { CORNERS, type Corner } from './corner.js';
export {
  type ExpectedAttributes,
  type ExpectedNode,
  ExpectedTree,
  type ExpectedType,
  type Survey,
} from './expected-tree.js';
export type { ChangeFault, DeclaredLength, DeliveryFault, Fault, FaultMatch, InsteadFault } from './fault.js';
export type { ScriptedFault } from './fault-script.js';
export {
  type BuiltImage,
  type BuiltLayer,
  type Family,
  type ImageBuilder,
  image,
  type LayerOptions,
} from './image-builder.js';
export { type BuiltIndex, type IndexBuilder, type IndexEntryOptions, index } from './index-builder.js';
export { LayerBuilder } from './layer-builder.js';
export { closedPort } from './listen.js';
export { type RandomImage, type RandomImageOptions, randomImage } from './random-image.js';
export { startRegistry, type TestRegistry } from './registry.js';
export type { BasicAuth, BearerAuth, RegistryAuth } from './registry-auth.js';
export type { RegistryContent, Repository, StoredManifest, Upload } from './registry-content.js';
export type { RegistryOptions, RegistryTls } from './registry-options.js';
export type { RequestKind } from './registry-route.js';
export type { Origin, RequestLog, RequestRecord } from './request-log.js';
export { SeededRandom } from './seeded-random.js';
export type { SparseContent, SparseStyle } from './sparse-entry.js';
export {
  type EntryFacts,
  type EntryOptions,
  gnuLongEntry,
  type PaxRecords,
  paxEntry,
  paxRecord,
  tarEntry,
} from './tar-entry.js';
export { type Bytes, type NumberField, padBlock, sealHeader, type TarHeaderFields, tarHeader } from './tar-header.js';
export { writeLayout } from './write-layout.js';
export { xxh64, type ZstdFrameOptions, zstdFrame, zstdSkippableFrame } from './zstd-frame.js';
