/**
 * An image as a plain folder, as skopeo's `dir:` writes it: `manifest.json`, `version`, and each blob under the
 * encoded part of its digest. Under `--all` the manifests below an index lie in `<encoded>.manifest.json`.
 *
 * @see https://github.com/containers/image/blob/v5.29.0/docs/containers-transports.5.md
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { absolutePath } from '../io/absolute-path.js';
import { digestOf } from '../io/digest-of.js';
import { MAX_DOCUMENT_BYTES } from '../io/limit.js';
import type { Descriptor } from '../spec/descriptor.js';
import { type Digest, isVerifiable, requireVerifiable } from '../spec/digest.js';
import { parseManifestOrIndex } from '../spec/image-document.js';
import { MediaType } from '../spec/media-types.js';
import { lookAt, requireFolder } from './blob-file.js';
import type { CallOptions, ReadOnlyTarget } from './content.js';
import { LocalSource, type Located } from './local-source.js';
import { readSmallFile } from './read-small-file.js';
import { requireReference } from './require-reference.js';

/** The longest `version` file that is looked at, in bytes. */
const MAX_VERSION_BYTES = 1024;

/** One image in a plain folder. It has no tags. Nothing is kept open between calls. */
export class DirLayout extends LocalSource implements ReadOnlyTarget {
  override readonly place: string;

  private constructor(place: string) {
    super();
    this.place = place;
  }

  /**
   * Opens a folder.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID` (no `manifest.json`, another version), `ERR_FILESYSTEM`
   */
  static async open(folder: string): Promise<DirLayout> {
    const place = absolutePath(folder, 'folder');
    requireFolder(place, `give a folder, or try docker-archive:${folder} or oci-archive:${folder}`);
    const layout = new DirLayout(place);
    const version = await layout.#read('version', MAX_VERSION_BYTES);
    if (version !== undefined && !/^Directory Transport Version: 1\.\d{1,9}\s*$/.test(version.toString('latin1'))) {
      throw layout.#invalid('its version is not 1.x');
    }
    const manifest = await layout.#read('manifest.json');
    if (manifest === undefined) {
      const isLayout = (await lstat(join(place, 'oci-layout')).catch(() => undefined)) !== undefined;
      throw layout.#invalid('manifest.json is missing', isLayout ? `try oci:${folder}` : undefined);
    }
    if (/^\s*\[/.test(manifest.toString('latin1', 0, 64))) {
      throw layout.#invalid(
        'manifest.json is the list of a docker-archive',
        'pack the folder again (tar -C FOLDER -cf image.tar .), and name it as docker-archive:image.tar',
      );
    }
    return layout;
  }

  /**
   * Finds the image: without a reference, or by the digest of its manifest or of one below its index.
   *
   * @throws RootfsError `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID`, `ERR_MANIFEST_INVALID`
   */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    throwIfAborted(options.signal);
    requireReference(reference, this.place);
    const top = await this.#manifest();
    const text = reference.startsWith('@') ? reference.slice(1) : reference;
    if (text === '' || text === top.descriptor.digest) return top.descriptor;
    if (isVerifiable(text)) {
      const bytes = await this.#read(instanceName(text));
      if (bytes !== undefined) return describe(bytes, text, this.place);
    }
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${this.place}: no image ${reference} here; a folder of this form holds one image without a tag, ${top.descriptor.digest}`,
      { detail: { place: this.place, reference } },
    );
  }

  protected override async locate(digest: Digest): Promise<Located | undefined> {
    const { encoded } = requireVerifiable(digest);
    const names = [encoded, `${digest.replace(':', '-')}`, instanceName(digest), `${encoded}.tar`];
    for (const name of names) {
      const path = join(this.place, name);
      const found = lookAt(path);
      if (found?.isSymbolicLink() === true) return { link: path };
      if (found !== undefined) return { path, offset: 0, size: found.size };
    }
    const top = await this.#manifest();
    return top.descriptor.digest === digest ? top.bytes : undefined;
  }

  async #manifest(): Promise<{ readonly descriptor: Descriptor; readonly bytes: Buffer }> {
    const bytes = await this.#read('manifest.json');
    if (bytes === undefined) throw this.#invalid('manifest.json is missing');
    const digest = digestOf(bytes);
    return { bytes, descriptor: describe(bytes, digest, this.place) };
  }

  #read(name: string, maxBytes: number = MAX_DOCUMENT_BYTES): Promise<Buffer | undefined> {
    return readSmallFile(join(this.place, name), maxBytes);
  }

  #invalid(reason: string, advice = "give a folder that skopeo's dir: wrote"): RootfsError {
    return new RootfsError('ERR_LAYOUT_INVALID', `${this.place}: ${reason}; ${advice}`, {
      detail: { place: this.place },
    });
  }
}

function instanceName(digest: Digest): string {
  return `${requireVerifiable(digest).encoded}.manifest.json`;
}

/**
 * The folder keeps no media type beside the manifest: the document tells its own. One that tells none is OCI's, whatever
 * its config is: Docker's have to, and registries refuse those that do not.
 */
function describe(bytes: Buffer, digest: Digest, place: string): Descriptor {
  const { kind, value } = parseManifestOrIndex(bytes, { subject: place });
  const mediaType = value.mediaType || (kind === 'index' ? MediaType.ociIndex : MediaType.ociManifest);
  return { mediaType, digest, size: bytes.length };
}
