/** Writes what was built as an OCI image layout. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wrapSystemError } from '../errors.js';
import { requireVerifiable } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import type { Built } from './built.js';

/**
 * Writes an OCI layout into `dir` (made where it is missing): one built thing without a name, or several by reference.
 * An `index.json` that is there is replaced, blobs are added.
 *
 * @param refs Keys become `org.opencontainers.image.ref.name`.
 * @throws RootfsError of the file system: `ERR_FILESYSTEM`, `ERR_NO_SPACE`, `ERR_PERMISSION`
 */
export async function writeLayout(dir: string, refs: Built | Readonly<Record<string, Built>>): Promise<void> {
  const named: [string | undefined, Built][] = isBuilt(refs) ? [[undefined, refs]] : Object.entries(refs);
  try {
    await mkdir(join(dir, 'blobs'), { recursive: true });
    for (const [, built] of named) {
      for (const [digest, bytes] of built.blobs) {
        const { algorithm, encoded } = requireVerifiable(digest);
        await mkdir(join(dir, 'blobs', algorithm), { recursive: true });
        await writeFile(join(dir, 'blobs', algorithm, encoded), bytes);
      }
    }
    const manifests = named.map(([name, built]) => ({
      ...built.descriptor,
      ...(name === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': name } }),
    }));
    await writeFile(join(dir, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    const index = { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests };
    await writeFile(join(dir, 'index.json'), JSON.stringify(index));
  } catch (error) {
    throw wrapSystemError(error, dir);
  }
}

function isBuilt(value: Built | Readonly<Record<string, Built>>): value is Built {
  return value['blobs'] instanceof Map;
}
