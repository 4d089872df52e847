/** Making folders one by one, so that what refuses one is told as it is. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemErrorCode } from '../errors.js';

/** How folders are made. */
export interface MakeFoldersOptions {
  /** Permission bits of folders that are made. Default 0777, less the mask. */
  readonly mode?: number | undefined;
  /** Told of each folder that was made, the outermost first. */
  readonly made?: ((folder: string) => void) | undefined;
}

/**
 * Makes a folder and what is missing above it. A folder that is there, or that another process makes meanwhile, is
 * success. Node's own recursive call says "no such file" where a file system is read-only, and does not end in /proc.
 *
 * @returns how many were made
 * @throws the system's error
 */
export function makeFolders(path: string, options: MakeFoldersOptions = {}): number {
  if (isFolder(path)) return 0;
  const above = dirname(path) === path ? 0 : makeFolders(dirname(path), options);
  try {
    mkdirSync(path, { mode: options.mode ?? 0o777 });
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST' && isFolder(path)) return above;
    throw error;
  }
  options.made?.(path);
  return above + 1;
}

/** What cannot be looked at cannot be made either, and that says why. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
