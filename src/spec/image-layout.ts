/** The `oci-layout` file. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md */
import * as v from 'valibot';
import { checkDocument, type DocumentKind, jsonObject, type ParseOptions, readJsonObject } from './json-document.js';

/** What the `oci-layout` file of an OCI image layout says. */
export interface ImageLayout {
  readonly imageLayoutVersion: string;
}

const KIND: DocumentKind = { name: 'oci-layout file', code: 'ERR_LAYOUT_INVALID' };

const schema = v.pipe(
  jsonObject,
  v.looseObject({
    imageLayoutVersion: v.custom<string>(
      (version) => typeof version === 'string' && /^1\.\d{1,9}\.\d{1,9}(?:-[\w.]{1,64})?$/.test(version),
      'a version 1.x.y',
    ),
  }),
);

/**
 * Reads the `oci-layout` file; any version 1.x.y is accepted.
 *
 * @throws RootfsError `ERR_LAYOUT_INVALID`, `ERR_LIMIT_EXCEEDED`
 */
export function parseImageLayout(bytes: Uint8Array, options: ParseOptions = {}): ImageLayout {
  return checkDocument(schema, readJsonObject(bytes, KIND, options), KIND, options.subject);
}
