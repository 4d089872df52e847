/** Carries out a batch of a plan with synchronous calls, in a worker or in this thread. Paths never leave the root. */
import { closeSync, constants, linkSync, openSync, symlinkSync } from 'node:fs';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { Directory, type RawPath, rawPath } from '../io/directory.js';
import { loadNative, type Native } from '../io/native.js';
import { DataCopier, type TarRange } from './copy-data.js';
import { DirectoryChain, WORKING_MODE } from './directory-chain.js';
import { hasRoom } from './has-room.js';
import type { OwnershipRecord } from './ownership-file.js';
import { ROOTLESS_XATTR } from './ownership-file.js';
import type { Loss } from './unpack-options.js';
import { type PlanBatch, type PlannedEntry, type PlanSegment, pathOf, unpackEntry, type Xattr } from './unpack-plan.js';
import {
  type AttributeContext,
  setDirectoryAttributes,
  setFileAttributes,
  setLinkAttributes,
  setNodeAttributes,
} from './write-attributes.js';

/** What a batch is written with; plain values, valid in every thread of this process. */
export interface WriteContext {
  /** `Directory.handle` of the root. */
  readonly root: number | string;
  /** Where the root lies, for messages. */
  readonly rootPath: string;
  /** Descriptors of the layer tars. */
  readonly layers: readonly number[];
  readonly umask: number;
  /** Root outside of user namespaces: what cannot be kept is an error. */
  readonly strict: boolean;
  readonly allowLoss: boolean;
}

/** What came of a batch. */
export interface BatchResult {
  /** What could not be kept and belongs into the side file. */
  readonly records: readonly OwnershipRecord[];
  /** What could not be kept as root under `allowLoss`. */
  readonly losses: readonly { readonly what: Loss['what']; readonly path: string }[];
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const WORKING_FILE_MODE = 0o600;
/** Marks of the overlay form: the image's own attributes of such names are never planned. */
const OVERLAY_MARK = /^(?:trusted|user)\.overlay\./;
/** What helps where the kernel refuses what root asks for, by what it was and what the kernel said. */
const ADVICE: Readonly<Record<string, string>> = {
  // It has no such id to give: a user namespace that /proc would have told of.
  'owners EINVAL': 'a user namespace without it needs /proc to be seen; mount one',
  'devices EPERM': 'run with CAP_MKNOD',
  'trusted EPERM': 'run with CAP_SYS_ADMIN',
  'security EPERM': 'run with CAP_SETFCAP',
  // The file is somebody else's by now, and not everybody may write it.
  'xattrs EACCES': 'run with CAP_DAC_OVERRIDE',
  // The value of a capability or an ACL that is none: no file system takes it.
  'xattrs EINVAL': 'get the image again from its maker',
};
/** Gaps between files up to this many bytes are read along: headers, mostly. */
const MAX_GAP = 64 * 1024;
const MAX_RUN = 256 * 1024;

/**
 * Writes one batch.
 *
 * @param checkpoint Called before every entry and chunk; throws to stop.
 * @throws RootfsError `ERR_WOULD_LOSE`, `ERR_LAYER_INVALID`, `ERR_FILESYSTEM`, `ERR_NO_SPACE`, `ERR_PERMISSION`
 */
export function writeBatch(batch: PlanBatch, context: WriteContext, checkpoint: () => void): BatchResult {
  const writer = new BatchWriter(context, checkpoint);
  try {
    for (const segment of batch.segments) writer.writeSegment(segment);
    return { records: writer.records, losses: writer.losses };
  } finally {
    writer.close();
  }
}

/** What is refused of a name that was just made by a file system without it (exFAT has no modes), or to root that lacks a capability. */
const OF_MAKER = /^(?:f?chmod|link|symlink|[fl]?utime|utimensat|futimens)$/;
const MAKER_ADVICE = 'choose a file system that keeps it';

/** What a file system answers to an attribute that it does not keep. */
const NOT_KEPT: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES', 'EINVAL', 'ERANGE', 'E2BIG'];

class BatchWriter implements AttributeContext {
  readonly records: OwnershipRecord[] = [];
  readonly losses: { readonly what: Loss['what']; readonly path: string }[] = [];
  readonly native: Native | undefined = loadNative();
  readonly root: boolean;
  readonly #context: WriteContext;
  readonly #checkpoint: () => void;
  readonly #copier: DataCopier;
  readonly #rootDirectory: Directory;
  readonly #chain: DirectoryChain;
  readonly #linkChain: DirectoryChain;
  #path = '';

  constructor(context: WriteContext, checkpoint: () => void) {
    this.#context = context;
    this.#checkpoint = checkpoint;
    this.root = context.strict;
    this.#copier = new DataCopier(context.layers, checkpoint);
    this.#rootDirectory = Directory.fromHandle(context.root);
    this.#chain = new DirectoryChain(this.#rootDirectory);
    this.#linkChain = new DirectoryChain(this.#rootDirectory);
  }

  close(): void {
    this.#chain.close();
    this.#linkChain.close();
  }

  writeSegment(segment: PlanSegment): void {
    const { directory, names } = segment;
    this.#path = directory;
    const open = this.#guard('', () => this.#chain.go(directory));
    let prefetched = 0;
    for (let index = 0; index < names.length; index++) {
      this.#checkpoint();
      const entry = unpackEntry(segment, index);
      if (index >= prefetched && entry.type === 'file') {
        const run = plannedRun(segment, index);
        prefetched = run.next;
        this.#copier.prefetch(run.range);
      }
      this.#guard(entry.name, () => this.#write(open, entry));
    }
  }

  xattrFailed(entry: PlannedEntry, xattr: Xattr, error: unknown): void {
    const [name] = xattr;
    const errno = systemErrorCode(error) ?? '';
    // too long for this file system, which must not read as a full disk
    const tooLong = errno === 'ENOSPC' && hasRoom(this.#rootDirectory.self);
    if (!tooLong && !NOT_KEPT.includes(errno)) throw error;
    if (OVERLAY_MARK.test(name)) {
      throw new RootfsError(
        'ERR_UNSUPPORTED',
        `${this.#shown(entry.name)}: the overlay attribute ${name} cannot be set here (${errno}); try the userXattr variant, or another file system`,
        { cause: error, detail: { name, errno } },
      );
    }
    const shown = `extended attribute ${JSON.stringify(name)}`;
    if (this.#context.strict) this.#lose('xattrs', entry, shown, error, name.slice(0, name.indexOf('.')));
    else if (name !== ROOTLESS_XATTR) this.records.push({ path: this.#pathOf(entry.name), xattrs: [xattr] });
  }

  ownerFailed(entry: PlannedEntry, error: unknown): void {
    if (systemErrorCode(error) !== 'EPERM' && systemErrorCode(error) !== 'EINVAL') throw error;
    if (this.#context.strict) this.#lose('owners', entry, `owner ${entry.uid}:${entry.gid}`, error);
    else this.records.push({ path: this.#pathOf(entry.name), uid: entry.uid, gid: entry.gid });
  }

  #write(directory: Directory, entry: PlannedEntry): void {
    switch (entry.type) {
      case 'file':
        this.#writeFile(directory.at(entry.name), entry);
        return;
      case 'symlink':
        symlinkSync(rawPath(entry.detail?.linkTarget ?? ''), directory.at(entry.name));
        setLinkAttributes(directory.at(entry.name), entry, this);
        return;
      case 'directory':
        this.#writeDirectory(directory, entry);
        return;
      case 'link':
        this.#writeLink(directory, entry);
        return;
      default:
        this.#writeNode(directory.at(entry.name), entry);
    }
  }

  #writeFile(path: RawPath, entry: PlannedEntry): void {
    const { mode, size, layer, tarOffset, detail } = entry;
    const modeDone =
      entry.uid < 0 && (mode & 0o7000) === 0 && (mode & this.#context.umask) === 0 && detail?.xattrs === undefined;
    const fd = openSync(path, CREATE, modeDone ? mode : WORKING_FILE_MODE);
    try {
      if (detail?.extents !== undefined) this.#copier.copySparse(layer, detail.extents, size, fd);
      else if (size > 0) this.#copier.copyNew({ layer, tarOffset, length: size }, fd);
      setFileAttributes(fd, entry, modeDone, this);
    } finally {
      closeSync(fd);
    }
  }

  #writeDirectory(directory: Directory, entry: PlannedEntry): void {
    if (entry.name === '') {
      setDirectoryAttributes(this.#rootDirectory, entry, this);
      return;
    }
    const child = directory.ensureChild(entry.name, WORKING_MODE);
    try {
      setDirectoryAttributes(child, entry, this);
    } finally {
      child.close();
    }
  }

  #writeLink(directory: Directory, entry: PlannedEntry): void {
    const from = entry.detail?.linkFrom ?? { directory: '', name: '' };
    const source = this.#linkChain.go(from.directory);
    try {
      linkSync(source.at(from.name), directory.at(entry.name));
    } catch (error) {
      // The first name is one that could not be made: so is this one.
      const type = entry.detail?.linkType;
      const optional = type === 'char' || type === 'block' || type === 'fifo';
      if (systemErrorCode(error) !== 'ENOENT' || !optional) throw error;
      const what = type === 'fifo' ? 'fifos' : 'devices';
      if (this.#context.strict) this.losses.push({ what, path: this.#pathOf(entry.name) });
      else this.#recordAbsent(entry, type, pathOf(from));
    }
  }

  #writeNode(path: RawPath, entry: PlannedEntry): void {
    const type = entry.type as 'char' | 'block' | 'fifo';
    const { rdevMajor = 0, rdevMinor = 0 } = entry.detail ?? {};
    try {
      if (this.native === undefined) throw Object.assign(new Error('no native calls'), { code: 'EPERM' });
      if (type === 'fifo') this.native.makeFifo(path, WORKING_FILE_MODE);
      else this.native.makeDevice(path, type, WORKING_FILE_MODE, rdevMajor, rdevMinor);
    } catch (error) {
      const errno = systemErrorCode(error);
      if (errno !== 'EPERM' && errno !== 'EINVAL' && errno !== 'ENOTSUP') throw error;
      if (this.#context.strict) {
        // Without native calls at all, the loss was named before anything was written.
        if (this.native !== undefined) this.#lose(type === 'fifo' ? 'fifos' : 'devices', entry, `${type} node`, error);
        return;
      }
      this.#recordAbsent(entry, type);
      return;
    }
    setNodeAttributes(path, entry, this);
  }

  #recordAbsent(entry: PlannedEntry, absent: 'char' | 'block' | 'fifo', link?: string): void {
    const { name, mode, uid, gid, seconds, nanoseconds } = entry;
    const { rdevMajor = 0, rdevMinor = 0, xattrs } = entry.detail ?? {};
    // Where files may be given away, the owner would stand on the disk.
    const more = { ...(uid < 0 ? {} : { uid, gid }), ...(absent === 'fifo' ? {} : { rdevMajor, rdevMinor }) };
    this.records.push({ path: this.#pathOf(name), absent, mode, mtime: [seconds, nanoseconds], link, xattrs, ...more });
  }

  #lose(what: Loss['what'], entry: PlannedEntry, found: string, cause: unknown, kind: string = what): void {
    const path = this.#pathOf(entry.name);
    if (this.#context.allowLoss) {
      this.losses.push({ what, path });
      return;
    }
    const errno = systemErrorCode(cause) ?? 'refused';
    const advice = ADVICE[`${kind} ${errno}`] ?? ADVICE[`${what} ${errno}`] ?? 'choose another file system';
    throw new RootfsError(
      'ERR_WOULD_LOSE',
      `${this.#shown(entry.name)}: the ${found} cannot be set here (${errno}); ${advice}, or allow the loss (--allow-loss, allowLoss: true)`,
      { cause, detail: { what, path: Buffer.from(path, 'latin1').toString() } },
    );
  }

  #pathOf(name: string): string {
    return name === '' ? this.#path : pathOf({ directory: this.#path, name });
  }

  #shown(name: string): string {
    return `${this.#context.rootPath}/${Buffer.from(this.#pathOf(name), 'latin1').toString()}`;
  }

  #guard<T>(name: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      const errno = systemErrorCode(error);
      if (errno === undefined) throw error;
      const refused = errno === 'EPERM' && OF_MAKER.test((error as NodeJS.ErrnoException).syscall ?? '');
      const advice = this.#context.strict ? `run with CAP_FOWNER, or ${MAKER_ADVICE}` : MAKER_ADVICE;
      throw wrapSystemError(error, this.#shown(name), refused ? advice : undefined);
    }
  }
}

/** The run of the tar that holds this file and those after it, and the first entry that is not in it. */
function plannedRun(segment: PlanSegment, from: number): { readonly range: TarRange; readonly next: number } {
  const first = unpackEntry(segment, from);
  let end = first.tarOffset + first.size;
  let next = from + 1;
  for (; next < segment.names.length && first.detail?.extents === undefined; next++) {
    const entry = unpackEntry(segment, next);
    if (entry.type !== 'file' || entry.size === 0) continue;
    const tooFar = entry.tarOffset > end + MAX_GAP || entry.tarOffset + entry.size > first.tarOffset + MAX_RUN;
    if (entry.layer !== first.layer || entry.detail?.extents !== undefined || tooFar) break;
    end = Math.max(end, entry.tarOffset + entry.size);
  }
  const sparse = first.detail?.extents !== undefined || first.size === 0;
  return {
    range: { layer: first.layer, tarOffset: first.tarOffset, length: sparse ? 0 : end - first.tarOffset },
    next,
  };
}
