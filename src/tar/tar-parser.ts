/**
 * The tar parser: a machine that says which bytes it wants next and is given them, whoever reads them.
 *
 * It touches no file and no stream, and never sees file data: see `read-tar-file.ts` and `read-tar-stream.ts`.
 */
import { applyPax, understandPax } from './apply-pax.js';
import { BLOCK, paddedBytes } from './block.js';
import { checkFirstHeader, noWholeHeader } from './check-first-header.js';
import { checkNames } from './check-names.js';
import { ExtensionBytes } from './extension-bytes.js';
import { GlobalPax } from './global-pax.js';
import { heldBytes } from './held-bytes.js';
import {
  checkHeader,
  HeaderMemory,
  hasBody,
  isGnu,
  isZeroBlock,
  readHeader,
  readSize,
  readText,
  type TarDraft,
} from './read-header.js';
import { readNumber } from './read-number.js';
import { type PaxRecords, readPax } from './read-pax.js';
import {
  applySparseMap,
  applySparseRecords,
  checkExtents,
  paxPairs,
  paxSparseFormat,
  readGnuPairs,
  SparseMapReader,
  type SparsePairs,
} from './read-sparse.js';
import type { TarEntry } from './tar-entry.js';
import { tarInvalid, tarLimitExceeded } from './tar-invalid.js';
import type { TarLimits } from './tar-limits.js';

type State = 'header' | 'pax' | 'pax-global' | 'long-name' | 'long-link' | 'sparse-blocks' | 'sparse-map' | 'done';

/** By the type's byte. */
const EXTENSIONS: ReadonlyMap<number | undefined, State> = new Map([
  [0x78, 'pax'], // x
  [0x58, 'pax'], // X
  [0x67, 'pax-global'], // g
  [0x4c, 'long-name'], // L
  [0x4b, 'long-link'], // K
]);

/** Reads the headers of one archive: give it what it wants until `done`, then, or at the source's end, call `end`. */
export class TarParser {
  /** Where the wanted bytes begin, counted from the archive's start; never goes back. */
  wantOffset = 0;
  /** How many bytes are wanted. */
  wantBytes = BLOCK;
  /** The archive's end mark was read: nothing after it is looked at. */
  done = false;

  readonly #limits: TarLimits;
  readonly #memory = new HeaderMemory();
  #state: State = 'header';
  /** Where the data of the last member ends, padding left out. */
  #bodyEnd = 0;
  #entries = 0;
  #metadataBytes = 0;
  #extents = 0;
  /** The first block of the member that is being read, or -1 between members. */
  #first = -1;
  #pax: PaxRecords | undefined;
  readonly #extensionBytes = new ExtensionBytes();
  readonly #global = new GlobalPax();
  #longName: string | undefined;
  #longLink: string | undefined;
  #draft: TarDraft | undefined;
  #pairs: SparsePairs = [];
  #map: SparseMapReader | undefined;

  constructor(limits: TarLimits) {
    this.#limits = limits;
  }

  /**
   * Takes the wanted bytes: `wantBytes` from `start`. They are copied where they must outlive the call.
   *
   * @returns a member, when these bytes completed its headers
   * @throws RootfsError `ERR_TAR_INVALID`, `ERR_LIMIT_EXCEEDED`
   */
  give(bytes: Buffer, start: number): TarEntry | undefined {
    switch (this.#state) {
      case 'header':
        return this.#header(bytes, start);
      case 'sparse-blocks':
        return this.#sparseBlock(bytes, start);
      case 'sparse-map':
        return this.#sparseMap(bytes, start);
      case 'done':
        return undefined;
      default:
        this.#extension(this.#state, bytes, start);
        return undefined;
    }
  }

  /**
   * Says that the source ends after `size` bytes, before the wanted ones could be given.
   *
   * @param found What there is of the wanted ones.
   * @throws RootfsError `ERR_TAR_INVALID` when that is inside a header or a body
   */
  end(size: number, found?: Uint8Array): void {
    if (this.done) return;
    if (this.wantOffset === 0 && size > 0 && found?.length === size) throw noWholeHeader(found);
    if (size < this.#bodyEnd) {
      throw tarInvalid(size, `expected data up to byte ${this.#bodyEnd}, found the end of the archive`, {
        expected: this.#bodyEnd,
      });
    }
    if (this.#state !== 'header' || this.#first !== -1 || size > this.wantOffset) {
      throw tarInvalid(size, 'expected a whole header, found the end of the archive');
    }
    this.#stop();
  }

  #stop(): void {
    this.#state = 'done';
    this.done = true;
    this.wantBytes = 0;
  }

  #want(state: State, offset: number, length: number): void {
    if (offset + length > Number.MAX_SAFE_INTEGER) {
      throw tarInvalid(this.wantOffset, 'expected a size below 2^53, found a larger one');
    }
    this.#state = state;
    this.wantOffset = offset;
    this.wantBytes = length;
  }

  #header(bytes: Buffer, start: number): TarEntry | undefined {
    const offset = this.wantOffset;
    if (bytes[start] === 0 && isZeroBlock(bytes, start)) {
      this.#stop();
      return undefined;
    }
    if (offset === 0) checkFirstHeader(bytes, start, this.#memory);
    else checkHeader(bytes, start, offset, this.#memory);
    const extension = EXTENSIONS.get(bytes[start + 156]);
    if (extension !== undefined) {
      this.#openExtension(extension, readSize(bytes, start, offset), offset);
      return undefined;
    }
    this.#entries += 1;
    if (this.#entries > this.#limits.maxEntries) {
      throw tarLimitExceeded(offset, 'members', 'maxEntries', this.#limits.maxEntries, this.#entries);
    }
    const draft = readHeader(bytes, start, offset, this.#memory);
    return this.#open(draft, bytes, start, offset);
  }

  #openExtension(state: State, size: number, offset: number): void {
    this.#extensionBytes.add(size, state === 'pax-global', offset, this.#limits);
    if (state !== 'pax-global' && this.#first === -1) this.#first = offset;
    this.#bodyEnd = offset + BLOCK + size;
    this.#want(state, offset + BLOCK, size);
  }

  #extension(state: State, bytes: Buffer, start: number): void {
    const offset = this.wantOffset;
    const size = this.wantBytes;
    if (state === 'long-name') this.#longName = readText(bytes, start, size);
    else if (state === 'long-link') this.#longLink = readText(bytes, start, size);
    else {
      // Not out of Node's pool: the attributes kept of it are copied into that, and each would hold this body there.
      const body = Buffer.allocUnsafeSlow(size);
      bytes.copy(body, 0, start, start + size);
      const records: PaxRecords = { values: new Map(), sparse: [] };
      readPax(body, offset, records, this.#limits);
      // Of several before one member the last counts alone, as for Go and GNU tar: what one header says is never mixed
      // with what another one says.
      if (state === 'pax') this.#pax = records;
      else {
        const meaning = understandPax(records.values, offset, this.#limits);
        this.#metadataBytes += this.#global.add(meaning, offset, this.#limits);
      }
    }
    this.#want('header', paddedBytes(offset + size), BLOCK);
  }

  #open(draft: TarDraft, bytes: Buffer, start: number, offset: number): TarEntry | undefined {
    const pax = this.#pax;
    const meaning = pax === undefined ? undefined : understandPax(pax.values, offset, this.#limits);
    this.#global.apply(draft, offset, meaning);
    if (meaning !== undefined) {
      applyPax(draft, meaning, offset);
      draft.pax = pax?.values;
    }
    if (this.#longName) draft.name = this.#longName;
    if (this.#longLink && (draft.type === 'hardlink' || draft.type === 'symlink')) draft.linkname = this.#longLink;
    // before POSIX a directory was told by its slash; the name that counts is the whole one
    if (bytes[start + 156] === 0 && draft.name.endsWith('/')) draft.type = 'directory';
    if (this.#first !== -1) draft.offset = this.#first;
    this.#first = -1;
    this.#pax = undefined;
    this.#extensionBytes.endMember();
    this.#longName = undefined;
    this.#longLink = undefined;

    const body = hasBody(draft) ? draft.size : 0;
    draft.dataOffset = offset + BLOCK;
    draft.dataBytes = body;
    const format = pax === undefined ? undefined : paxSparseFormat(pax, offset);
    if (draft.typeflag === 'S') return this.#openGnuSparse(draft, bytes, start, offset);
    if (format !== undefined && pax !== undefined) {
      applySparseRecords(draft, pax, offset);
      if (format === '1.0') {
        this.#draft = draft;
        this.#map = new SparseMapReader();
        return this.#wantMap(draft.dataOffset);
      }
      const pairs = paxPairs(pax, offset, this.#limits);
      this.#countExtents(pairs, offset);
      applySparseMap(draft, pairs);
    } else if (draft.type !== 'file') {
      draft.size = 0;
    }
    return this.#finish(draft, body);
  }

  #openGnuSparse(draft: TarDraft, bytes: Buffer, start: number, offset: number): TarEntry | undefined {
    if (!isGnu(bytes, start)) throw tarInvalid(offset, 'sparse file: expected GNU magic in its header');
    draft.size = readNumber(bytes, start + 483, 12, 'realsize', offset);
    if (draft.size < 0) throw tarInvalid(offset, `sparse file: expected a size of at least 0, found ${draft.size}`);
    this.#pairs = [];
    readGnuPairs(bytes, start + 386, 4, offset, this.#pairs);
    this.#draft = draft;
    return this.#afterGnuPairs(draft, bytes[start + 482] !== 0, offset + BLOCK);
  }

  #afterGnuPairs(draft: TarDraft, more: boolean, next: number): TarEntry | undefined {
    if (more) {
      checkExtents(this.#extents + this.#pairs.length / 2, next, this.#limits);
      this.#bodyEnd = next + BLOCK;
      this.#want('sparse-blocks', next, BLOCK);
      return undefined;
    }
    this.#countExtents(this.#pairs, next);
    draft.dataOffset = next;
    applySparseMap(draft, this.#pairs);
    return this.#finish(draft, draft.dataBytes);
  }

  #sparseBlock(bytes: Buffer, start: number): TarEntry | undefined {
    readGnuPairs(bytes, start, 21, this.wantOffset, this.#pairs);
    return this.#afterGnuPairs(this.#draft as TarDraft, bytes[start + 504] !== 0, this.wantOffset + BLOCK);
  }

  #wantMap(offset: number): undefined {
    const draft = this.#draft as TarDraft;
    const left = draft.dataBytes - (offset - draft.dataOffset);
    if (left <= 0) throw tarInvalid(offset, 'PAX sparse map: expected it to end within the body, found it cut');
    const length = Math.min(BLOCK, left);
    this.#bodyEnd = offset + length;
    this.#want('sparse-map', offset, length);
  }

  #sparseMap(bytes: Buffer, start: number): TarEntry | undefined {
    const draft = this.#draft as TarDraft;
    const map = this.#map as SparseMapReader;
    const next = this.wantOffset + this.wantBytes;
    if (!map.give(bytes, start, this.wantBytes, this.wantOffset, this.#limits)) return this.#wantMap(next);
    this.#countExtents(map.pairs, this.wantOffset);
    draft.dataBytes -= next - draft.dataOffset;
    draft.dataOffset = next;
    applySparseMap(draft, map.pairs);
    return this.#finish(draft, draft.dataBytes);
  }

  #countExtents(pairs: SparsePairs, offset: number): void {
    this.#extents += pairs.length / 2;
    checkExtents(this.#extents, offset, this.#limits);
  }

  #finish(draft: TarDraft, body: number): TarEntry {
    const { maxMetadataBytes } = this.#limits;
    checkNames(draft, this.#limits);
    this.#metadataBytes += heldBytes(draft, this.#global.xattrs);
    if (this.#metadataBytes > maxMetadataBytes) {
      const what = 'bytes of names and attributes';
      throw tarLimitExceeded(draft.offset, what, 'maxMetadataBytes', maxMetadataBytes, this.#metadataBytes);
    }
    this.#draft = undefined;
    this.#map = undefined;
    this.#bodyEnd = draft.dataOffset + body;
    this.#want('header', paddedBytes(this.#bodyEnd), BLOCK);
    return draft;
  }
}
