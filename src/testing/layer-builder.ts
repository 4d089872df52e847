/**
 * Builds the tar of one layer, entry by entry, in the order of the calls. Nothing is sorted, added or checked.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
 */
import { gnuSparseEntry, paxSparseEntry, type SparseContent, type SparseStyle } from './sparse-entry.js';
import { type EntryOptions, type PaxRecords, paxEntry, tarEntry } from './tar-entry.js';
import { type Bytes, padBlock, type TarHeaderFields, tarHeader, toBuffer } from './tar-header.js';

/** Collects the entries of one layer. Every method returns the builder; `tar` gives the bytes. */
export class LayerBuilder {
  readonly #parts: Buffer[] = [];
  #end = Buffer.alloc(1024);

  /** A directory; mode 0755 unless told. The path stands in the header with a slash at its end. */
  dir(path: Bytes, options?: EntryOptions): this {
    const bytes = toBuffer(path);
    const slashed = bytes.at(-1) === 0x2f ? bytes : Buffer.concat([bytes, Buffer.from('/')]);
    return this.raw(tarEntry({ path: slashed, type: '5', mode: 0o755 }, options));
  }

  /** A regular file; mode 0644 unless told. */
  file(path: Bytes, content: Bytes = '', options?: EntryOptions): this {
    return this.raw(tarEntry({ path, type: '0', mode: 0o644, body: toBuffer(content) }, options));
  }

  /** A symbolic link with this target, verbatim. */
  symlink(path: Bytes, target: Bytes, options?: EntryOptions): this {
    return this.raw(tarEntry({ path, type: '2', mode: 0o777, linkname: target }, options));
  }

  /** A hard link to `target`, a path from the root of the image. */
  hardlink(path: Bytes, target: Bytes, options?: EntryOptions): this {
    return this.raw(tarEntry({ path, type: '1', mode: 0o644, linkname: target }, options));
  }

  /** A character or block device. */
  device(path: Bytes, kind: 'char' | 'block', major: number, minor: number, options?: EntryOptions): this {
    const type = kind === 'char' ? '3' : '4';
    return this.raw(tarEntry({ path, type, mode: 0o600, devmajor: major, devminor: minor }, options));
  }

  /** A named pipe. */
  fifo(path: Bytes, options?: EntryOptions): this {
    return this.raw(tarEntry({ path, type: '6', mode: 0o600 }, options));
  }

  /** A whiteout that hides `path` of the layers below: an empty file `.wh.<name>` beside it. */
  whiteout(path: Bytes, options?: EntryOptions): this {
    const bytes = toBuffer(path);
    const slash = bytes.lastIndexOf(0x2f);
    return this.file(
      Buffer.concat([bytes.subarray(0, slash + 1), Buffer.from('.wh.'), bytes.subarray(slash + 1)]),
      '',
      options,
    );
  }

  /** An opaque whiteout: hides what the layers below have in `dir` (`''` is the root). */
  opaque(dir: Bytes, options?: EntryOptions): this {
    const bytes = toBuffer(dir);
    const folder = bytes.length === 0 || bytes.at(-1) === 0x2f ? bytes : Buffer.concat([bytes, Buffer.from('/')]);
    return this.file(Buffer.concat([folder, Buffer.from('.wh..wh..opq')]), '', options);
  }

  /** A sparse file in one of the four ways that GNU tar has written them; `'gnu'` unless told. */
  sparse(
    path: Bytes,
    content: SparseContent,
    options?: EntryOptions & { readonly style?: SparseStyle | undefined },
  ): this {
    const style = options?.style ?? 'gnu';
    return this.raw(
      style === 'gnu' ? gnuSparseEntry(path, content, options) : paxSparseEntry(path, content, style, options),
    );
  }

  /** A PAX global header: defaults for every entry after it. */
  paxGlobal(records: PaxRecords | Uint8Array): this {
    return this.raw(paxEntry('g', records));
  }

  /** One header block with exactly these fields, and a body (padded to 512 bytes) after it. */
  entry(header: TarHeaderFields, body: Bytes = ''): this {
    return this.raw(tarHeader(header), padBlock(toBuffer(body)));
  }

  /** Bytes as they are. */
  raw(...bytes: readonly Bytes[]): this {
    for (const part of bytes) this.#parts.push(toBuffer(part));
    return this;
  }

  /** What stands after the last entry: two blocks of zeros unless told; `''` for a tar without an end. */
  end(bytes: Bytes): this {
    this.#end = Buffer.from(toBuffer(bytes));
    return this;
  }

  /** The tar, all entries and the end. */
  tar(): Buffer {
    return Buffer.concat([...this.#parts, this.#end]);
  }
}
