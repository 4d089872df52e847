/** A layout that a copy goes to: made where there is none, and away again where the copy brought nothing. */
import { lstat, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RootfsError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { INDEX_FILE, isNoLayout, LAYOUT_FILE, removeEmptyLayout } from './empty-layout.js';
import { OciLayout } from './oci-layout.js';

/** What a layout makes of itself, the innermost first. */
const FOLDERS = ['blobs/sha256', 'blobs/sha512', 'blobs'];
const FILES = [LAYOUT_FILE, INDEX_FILE];
/** How often a layout is made that others take away again at once. */
const TRIES = 20;

/** A layout, and what ends the work with it. */
export interface LayoutForCopy {
  readonly layout: OciLayout;
  /**
   * Removes what was made where it holds no blob: the layout, and the folders above it that were missing, too. What was
   * there before stays. Never fails.
   */
  close(): Promise<void>;
}

/**
 * Opens a layout, and makes it where it is missing. Where it throws, nothing that it made stays.
 *
 * @throws RootfsError as `OciLayout.open`; `ERR_MANIFEST_INVALID` for an `index.json` that is none
 */
export async function openLayoutForCopy(folder: string): Promise<LayoutForCopy> {
  const path = absolutePath(folder, 'folder');
  for (let tries = 1; ; tries += 1) {
    try {
      return await openOrMake(path);
    } catch (error) {
      // Another copy that failed may have taken away what it had made, and what was found here.
      if (tries >= TRIES || !isAbsence(error) || !isNoLayout(path)) throw error;
    }
  }
}

async function openOrMake(path: string): Promise<LayoutForCopy> {
  const blobs = await missing(FOLDERS.map((name) => join(path, name)));
  const files = await missing(FILES.map((name) => join(path, name)));
  const folders = await missingAbove(path);
  const close = async (): Promise<void> => {
    for (const one of blobs) await rmdir(one).catch(() => {});
    const made = files.map((file) => basename(file));
    if (!(await removeEmptyLayout(path, made))) return;
    for (const one of folders) await rmdir(one).catch(() => {});
  };
  try {
    const layout = await OciLayout.open(path, { create: true });
    // A list that takes no name is told before anything is brought, and not after all of it.
    await layout.entries().next();
    return { layout, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whether something was missing. */
function isAbsence(error: unknown): boolean {
  if (!(error instanceof RootfsError)) return false;
  return error.code === 'ERR_LAYOUT_INVALID' || error.code === 'ERR_NOT_FOUND' || error.detail['errno'] === 'ENOENT';
}

async function missing(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(paths.map(isThere));
  return paths.filter((_, at) => found[at] === false);
}

/** A path and the folders above it, as far as they are not there, the innermost first. */
async function missingAbove(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let at = path; !(await isThere(at)); at = dirname(at)) found.push(at);
  return found;
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
