/** Making the folder that an option names. */
import { mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../index.js';
import { requireNoFile } from './require-no-file.js';

const ADVICE = 'name a folder that can be made and written';

/** The folder and those above it that are not there yet, the outermost first. */
async function allMissing(path: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    const there = await stat(at).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (there !== undefined || at === dirname(at)) return missing.reverse();
    missing.push(at);
  }
}

/**
 * Makes folders one by one. Node's recursive call never ends where a file system refuses one as "no such file" (/proc),
 * and says that itself where a quota is used up or the file system has become read-only. What others make or take away
 * meanwhile is no failure.
 *
 * @throws the system's error; what was made has gone again
 */
async function makeEach(missing: readonly string[], mode: number | undefined): Promise<void> {
  const made: string[] = [];
  for (const folder of missing) {
    try {
      await mkdir(folder, mode);
      made.push(folder);
    } catch (error) {
      const errno = systemErrorCode(error);
      if (errno === 'EEXIST') continue;
      if (errno === 'ENOENT' && made.length > 0) return;
      for (const one of made.reverse()) await rmdir(one).catch(() => {});
      throw error;
    }
  }
}

/**
 * Makes a folder and what is missing above it. A folder that is there is success; where it fails, nothing is left of it.
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
    const missing = await allMissing(path);
    if (missing.length === 0) return undefined;
    await makeEach(missing, mode);
    const { ensureDir } = await import('fs-extra/esm');
    await ensureDir(path, mode);
    return missing[0];
  } catch (error) {
    throw wrapSystemError(error, `${option} ${path}`, advice ?? ADVICE);
  }
}
