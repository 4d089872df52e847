/**
 * Writes archives and folders whose files are known by name and size before their bytes are here: every place in a tar
 * is known then, and blobs are written into theirs as they arrive, several at once.
 */
import { chmod, mkdir, open, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSystemError, RootfsError, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { closeAfter } from '../io/close-after.js';
import { mapConcurrently } from '../io/concurrency.js';
import { FileWriter } from '../io/file-writer.js';
import { endOfArchive, padding } from '../tar/block.js';
import { plainHeader } from '../tar/plain-header.js';
import type { CallOptions, Fetcher } from './content.js';
import { type Member, memberBytes, memberFolders } from './member.js';
import { writeContent } from './write-content.js';

/** How members are written. */
export interface WriteMembersOptions extends CallOptions {
  /** Blobs on their way at once. */
  readonly jobs: number;
  /** The file is brought to disk before this returns. */
  readonly fsync?: boolean | undefined;
}

interface Piece {
  readonly offset: number;
  readonly content: Member['content'];
}

/**
 * Writes a tar to `path`, which must not exist. Folders come first, then the members in their order.
 *
 * When it throws, the file is left as it is: whoever chose its name removes it.
 *
 * @throws RootfsError `ERR_NO_SPACE` (also before a byte is fetched, where the file system says that it is too small),
 *   `ERR_PERMISSION`, `ERR_FILESYSTEM`, and as `writeContent`; the abort's reason
 */
export async function writeTar(
  path: string,
  members: readonly Member[],
  source: Fetcher,
  options: WriteMembersOptions,
): Promise<void> {
  const pieces: Piece[] = [];
  let known: Uint8Array[] = [];
  let end = 0;
  // Headers, padding and small files that stand side by side are one piece.
  const settle = (): void => {
    const content = Buffer.concat(known);
    if (content.length > 0) pieces.push({ offset: end - content.length, content });
    known = [];
  };
  const put = (content: Member['content']): void => {
    if (content instanceof Uint8Array) {
      known.push(content);
      end += content.byteLength;
      return;
    }
    settle();
    pieces.push({ offset: end, content });
    end += content.size;
  };
  for (const folder of memberFolders(members)) {
    put(plainHeader(folder, undefined));
  }
  for (const member of members) {
    const size = memberBytes(member);
    put(plainHeader(member.name, size));
    put(member.content);
    put(padding(size));
  }
  put(endOfArchive());
  settle();
  await requireSpace(path, end);
  try {
    const file = await open(path, 'wx', 0o644);
    await closeAfter(file, async () => {
      await fillPieces(file, pieces, source, options);
      if (options.fsync === true) await file.sync();
    });
    throwIfAborted(options.signal);
  } catch (error) {
    throw wrapWriteError(error, path);
  }
}

/**
 * Writes the members as files below a folder, which must exist and be empty.
 *
 * @throws RootfsError as `writeTar`
 */
export async function writeFolder(
  folder: string,
  members: readonly Member[],
  source: Fetcher,
  options: WriteMembersOptions,
): Promise<void> {
  await requireSpace(
    join(folder, 'x'),
    members.reduce((sum, member) => sum + memberBytes(member), 0),
  );
  try {
    for (const name of memberFolders(members)) {
      await mkdir(join(folder, name));
      await chmod(join(folder, name), 0o755);
    }
    await mapConcurrently(
      members,
      async (member, signal) => {
        const file = await open(join(folder, member.name), 'wx', 0o644);
        await closeAfter(file, async () => {
          await fillPieces(file, [{ offset: 0, content: member.content }], source, { ...options, signal });
          // Whatever the umask is.
          await file.chmod(0o644);
          if (options.fsync === true) await file.sync();
        });
      },
      { concurrency: options.jobs, signal: options.signal },
    );
    throwIfAborted(options.signal);
  } catch (error) {
    throw wrapWriteError(error, folder);
  }
}

async function fillPieces(
  file: Awaited<ReturnType<typeof open>>,
  pieces: readonly Piece[],
  source: Fetcher,
  { jobs, signal, onProgress }: WriteMembersOptions,
): Promise<void> {
  await mapConcurrently(
    pieces,
    async ({ offset, content }, pieceSignal) => {
      if (!(content instanceof Uint8Array)) {
        await writeContent(source, content, file, offset, { signal: pieceSignal, onProgress });
        return;
      }
      await new FileWriter(file, offset).add(content);
    },
    { concurrency: jobs, signal },
  );
}

function wrapWriteError(error: unknown, path: string): unknown {
  return isSystemError(error) ? wrapSystemError(error, path) : error;
}

/** Better told now than after an hour of fetching. A file system that does not say how much is free is believed to be large. */
async function requireSpace(path: string, bytes: number): Promise<void> {
  const found = await statfs(dirname(path)).catch(() => undefined);
  if (found === undefined || found.blocks === 0) return;
  const free = found.bavail * found.bsize;
  if (free >= bytes) return;
  throw new RootfsError(
    'ERR_NO_SPACE',
    `${dirname(path)}: ${bytes} bytes are needed and ${free} are free; free some space or choose another folder`,
    { detail: { path, neededBytes: bytes, freeBytes: free } },
  );
}
