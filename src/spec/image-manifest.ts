/** Image manifests. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md */
import type { Descriptor } from './descriptor.js';

/** An image manifest, OCI's or Docker's schema 2. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}
