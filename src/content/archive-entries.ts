/** The files inside an image archive by name, through the links that archives of old use between their folders. */
import { posix } from 'node:path';
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { limitError, MAX_DOCUMENT_BYTES, readLimited } from '../io/limit.js';
import { Turns } from '../io/turns.js';
import { readTarSteps } from '../tar/read-tar-file.js';
import type { TarEntry } from '../tar/tar-entry.js';
import type { ArchiveFile } from './archive-file.js';
import { goneArchive } from './blob-file.js';
import type { BlobLocation } from './content.js';
import { HeldBlob, openBlob } from './open-blob.js';

/** The most members of an image archive: layers are not looked into, so that honest ones have hundreds. */
export const MAX_ARCHIVE_ENTRIES = 200_000;
/** How many links are followed from one name. */
export const MAX_ARCHIVE_LINKS = 16;

type Held = { readonly location: BlobLocation } | { readonly link: string } | { readonly unreadable: string };

/** What one reading of an archive's headers found. Names are as in `manifest.json`: no leading `./` or `/`. */
export class ArchiveEntries {
  readonly #archive: ArchiveFile;
  readonly #entries = new Map<string, Held>();

  private constructor(archive: ArchiveFile) {
    this.#archive = archive;
  }

  /**
   * Reads the headers of an archive; its data is skipped. Of several equal names the last counts.
   *
   * @throws RootfsError `ERR_ARCHIVE_INVALID` (cut, empty, or no tar), `ERR_LIMIT_EXCEEDED`, `ERR_FILESYSTEM`; the abort's
   *   reason
   */
  static async read(archive: ArchiveFile, signal?: AbortSignal): Promise<ArchiveEntries> {
    const entries = new ArchiveEntries(archive);
    throwIfAborted(signal);
    const turns = new Turns(signal);
    let count = 0;
    try {
      for (const entry of readTarSteps(archive.path, { maxEntries: MAX_ARCHIVE_ENTRIES })) {
        if (entry !== undefined) {
          entries.#add(entry);
          count += 1;
        }
        if (turns.due(entry === undefined)) await turns.take();
      }
    } catch (error) {
      if (!(error instanceof RootfsError) || error.code !== 'ERR_TAR_INVALID') throw error;
      throw new RootfsError('ERR_ARCHIVE_INVALID', `${archive.name}: no whole tar archive; copy it again`, {
        cause: error,
        detail: { archive: archive.name, ...error.detail },
      });
    }
    if (count === 0) {
      throw new RootfsError('ERR_ARCHIVE_INVALID', `${archive.name}: it is empty; save the image again`, {
        detail: { archive: archive.name },
      });
    }
    return entries;
  }

  /** Whether a name is here. */
  has(name: string): boolean {
    return this.#entries.has(key(name));
  }

  /**
   * What to do where a name is missing that lies in a folder at the top: that was packed, and not what is in it.
   * `undefined` where it lies in none. Deeper, as in a whole root file system, it is something else.
   */
  adviceFor(name: string): string | undefined {
    for (const at of this.#entries.keys()) {
      const [folder = '', ...rest] = at.split('/');
      if (rest.join('/') !== name) continue;
      const shown = JSON.stringify(Buffer.from(folder, 'latin1').toString().slice(0, 200));
      return `it lies in the folder ${shown}, pack what is in that (tar -C FOLDER -cf image.tar .)`;
    }
    return undefined;
  }

  /**
   * Where the data of a file lies, through symbolic and hard links inside the archive; `undefined` where there is
   * none. A name with backslashes that is not here as it stands is a path of Windows.
   *
   * @throws RootfsError `ERR_ARCHIVE_INVALID` for what has no plain data: a sparse file, a loop of links, a link to
   *   what the archive does not hold
   */
  find(name: string): BlobLocation | undefined {
    let at = key(name);
    if (!this.#entries.has(at)) at = key(name.replaceAll('\\', '/'));
    for (let links = 0; links <= MAX_ARCHIVE_LINKS; links++) {
      const held = this.#entries.get(at);
      if (held === undefined && links > 0) throw this.#leadsOut(name, at);
      if (held === undefined) return undefined;
      if ('location' in held) return held.location;
      if ('unreadable' in held) throw this.#invalid(`${name} is ${held.unreadable}`);
      at = held.link;
    }
    throw this.#invalid(`${name} is a loop of links`);
  }

  /** Reads a small file; `undefined` where there is none. @throws RootfsError `ERR_LIMIT_EXCEEDED`, as `find` */
  async readDocument(name: string, maxBytes: number = MAX_DOCUMENT_BYTES): Promise<Buffer | undefined> {
    const location = this.find(name);
    if (location === undefined) return undefined;
    const subject = `${this.#archive.name}: ${name}`;
    if (location.size > maxBytes) throw limitError(subject, maxBytes);
    const opened = openBlob(location, { digest: 'sha256:', size: location.size });
    if (opened === undefined) throw goneArchive(this.#archive.name);
    return (opened instanceof HeldBlob ? opened.whole() : undefined) ?? readLimited(opened, maxBytes, subject);
  }

  #add(entry: TarEntry): void {
    const name = normalize(entry.name);
    if (name === '') return;
    switch (entry.type) {
      case 'file': {
        const location = { path: this.#archive.path, offset: entry.dataOffset, size: entry.size };
        this.#entries.set(name, entry.extents === undefined ? { location } : { unreadable: 'a sparse file' });
        return;
      }
      case 'symlink':
        this.#entries.set(name, { link: normalize(posix.resolve('/', posix.dirname(name), entry.linkname)) });
        return;
      case 'hardlink':
        this.#entries.set(name, { link: normalize(entry.linkname) });
        return;
      case 'directory':
        return;
      default:
        this.#entries.set(name, { unreadable: 'no file' });
    }
  }

  /** Bazel lays images out as links to its own folders; tar packs the links. */
  #leadsOut(name: string, target: string): RootfsError {
    const shown = JSON.stringify(target.slice(0, 200));
    return new RootfsError(
      'ERR_ARCHIVE_INVALID',
      `${this.#archive.name}: ${name} is a link to ${shown}, which is not in the archive; make it again with links followed (tar -h)`,
      { detail: { archive: this.#archive.name, name, target } },
    );
  }

  #invalid(reason: string): RootfsError {
    return new RootfsError('ERR_ARCHIVE_INVALID', `${this.#archive.name}: ${reason}; make the archive again`, {
      detail: { archive: this.#archive.name },
    });
  }
}

/** Names in archives are bytes, as latin1; names in JSON are text. */
function key(name: string): string {
  return normalize(Buffer.from(name, 'utf8').toString('latin1'));
}

/** A path from the archive's root. One that climbs out of it names nothing here. */
function normalize(name: string): string {
  const path = posix.normalize(`/${name}`).slice(1);
  return path.endsWith('/') ? path.slice(0, -1) : path;
}
