/** Making the folder that an option names. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../index.js';
import { requireNoFile } from './require-no-file.js';

const ADVICE = 'name a folder that can be made and written';

/** The outermost folder of `path` that is not there yet; `undefined` when all of it is. */
async function firstMissing(path: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let at = path; ; at = dirname(at)) {
    const there = await stat(at).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (there !== undefined || at === dirname(at)) return missing;
    missing = at;
  }
}

/**
 * Makes a folder and what is missing above it. A folder that is there is success.
 *
 * @param option How the folder was named, for messages: `--dst`.
 * @param mode Of folders that are made.
 * @param advice What to do where it cannot be made.
 * @returns the outermost folder that was made; `undefined` where all were there
 * @throws RootfsError `ERR_PERMISSION`, `ERR_NO_SPACE`, `ERR_FILESYSTEM`; as `requireNoFile` where a file is in the way
 */
export async function makeFolder(
  option: string,
  path: string,
  mode?: number,
  advice?: string,
): Promise<string | undefined> {
  try {
    await requireNoFile(option, path, advice);
    const missing = await firstMissing(path);
    if (missing === undefined) return undefined;
    // One step by itself: where a file system refuses it as "no such file" (/proc), Node's recursive mkdir never ends.
    // Another process may have made it just now, which is as well.
    await mkdir(missing, mode).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    });
    const { ensureDir } = await import('fs-extra/esm');
    await ensureDir(path, mode);
    return missing;
  } catch (error) {
    throw wrapSystemError(error, `${option} ${path}`, advice ?? ADVICE);
  }
}
