/**
 * `rootfs-kit/testing`: a registry inside the process, and images built in code, for your own tests.
 *
 * This file is the face of the subpath and holds no code. The room behind it knows the specifications' words and the
 * wire; it must not know the client, so that the one can be tested against the other.
 */
export { type Built, describe, digestOf, document } from './built.js';
export { type Certificate, type CertificateOptions, createCertificate } from './certificate.js';
export { type Compression, type CompressionOptions, compress } from './compress.js';
export type { ChangeFault, DeclaredLength, DeliveryFault, Fault, FaultMatch, InsteadFault } from './fault.js';
export type { ScriptedFault } from './fault-script.js';
export { type BuiltImage, type BuiltLayer, type ImageBuilder, image, type LayerOptions } from './image-builder.js';
export { type BuiltIndex, type IndexBuilder, type IndexEntryOptions, index } from './index-builder.js';
export { LayerBuilder } from './layer-builder.js';
export { closedPort } from './listen.js';
export { startRegistry, type TestRegistry } from './registry.js';
export type { BasicAuth, BearerAuth, RegistryAuth } from './registry-auth.js';
export type { RegistryContent, Repository, StoredManifest, Upload } from './registry-content.js';
export type { RegistryOptions, RegistryTls } from './registry-options.js';
export type { RequestKind } from './registry-route.js';
export type { Origin, RequestLog, RequestRecord } from './request-log.js';
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
