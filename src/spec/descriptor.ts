/**
 * Descriptors: what content is called, how large it is, what it is.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
 */
import type { Digest } from './digest.js';
import type { Platform } from './platform.js';

/** Points at content. Fields that the specification does not name are kept as they came. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Length of the raw content in bytes. */
  readonly size: number;
  readonly urls?: readonly string[] | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** The content itself, base64. Trusted only after its digest and size were checked. */
  readonly data?: string | undefined;
  readonly artifactType?: string | undefined;
  readonly platform?: Platform | undefined;
}
