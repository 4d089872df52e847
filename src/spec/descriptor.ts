/**
 * Descriptors: what content is called, how large it is, what it is.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md
 */
import * as v from 'valibot';
import { type Digest, isDigest } from './digest.js';
import { artifactType, jsonObject, layerMediaType, mediaType, stringMap, strings } from './json-document.js';
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

/** A digest by the grammar. */
export const digestSchema: v.GenericSchema<unknown, unknown> = v.custom<Digest>(
  (value) => typeof value === 'string' && isDigest(value),
  'a digest as in sha256:<64 lower-case hex digits>',
);

const sizeSchema = v.custom<number>(
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  'a whole number of bytes, 0 or more',
);

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function isBase64(data: unknown): boolean {
  return typeof data === 'string' && data.length % 4 === 0 && BASE64.test(data);
}

const platformSchema = v.pipe(
  jsonObject,
  v.looseObject({
    architecture: v.string(),
    os: v.string(),
    'os.version': v.optional(v.string()),
    'os.features': v.optional(strings),
    variant: v.optional(v.string()),
  }),
);

function descriptorOf(mediaTypeSchema: v.GenericSchema<unknown, unknown>): v.GenericSchema<unknown, unknown> {
  return v.pipe(
    jsonObject,
    v.looseObject({
      mediaType: mediaTypeSchema,
      digest: digestSchema,
      size: sizeSchema,
      urls: v.optional(v.array(v.custom<string>((url) => typeof url === 'string' && URL.canParse(url), 'a URL'))),
      annotations: v.optional(stringMap),
      data: v.optional(v.custom<string>(isBase64, 'base64')),
      artifactType,
      platform: v.optional(platformSchema),
    }),
  );
}

/** What a descriptor must be. */
export const descriptorSchema: v.GenericSchema<unknown, unknown> = descriptorOf(mediaType);

/** What a layer must be, or a part of an artifact. */
export const layerSchema: v.GenericSchema<unknown, unknown> = descriptorOf(layerMediaType);

/** What an entry of a layout must be: one whose type is no media type is of an unknown kind, and hides none beside it. */
export const entrySchema: v.GenericSchema<unknown, unknown> = descriptorOf(v.string());
