/** Bringing names to disk: those that were given while one sync of their folder runs share the next. */
import { closeSync, fsync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { systemErrorCode } from '../errors.js';

/** Brings what was written to an open file to disk. */
export const syncFile: (fd: number) => Promise<void> = promisify(fsync);

/** Where a file system cannot sync a folder, nothing more can be done. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'EPERM', 'EACCES', 'ENOTSUP', 'EISDIR', 'EBADF']);

/** The syncs that have not begun, by folder. */
const next = new Map<string, Promise<void>>();
/** The syncs under way, by folder. */
const running = new Map<string, Promise<void>>();

/** Brings the names in a folder to disk: all that were given before the call. */
export function syncFolder(path: string): Promise<void> {
  let waiting = next.get(path);
  if (waiting === undefined) {
    waiting = (running.get(path) ?? Promise.resolve()).then(
      () => begin(path),
      () => begin(path),
    );
    next.set(path, waiting);
  }
  return waiting;
}

function begin(path: string): Promise<void> {
  next.delete(path);
  const sync = syncOnce(path).finally(() => {
    if (running.get(path) === sync) running.delete(path);
  });
  running.set(path, sync);
  return sync;
}

async function syncOnce(path: string): Promise<void> {
  try {
    const folder = openSync(path, 'r');
    try {
      await syncFile(folder);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(systemErrorCode(error) ?? '')) throw error;
  }
}
