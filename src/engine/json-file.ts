/** A small JSON file that several processes change: each change whole, one after the other. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeBeside } from '../content/output-place.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { withLock } from '../io/lock.js';
import { makeFolders } from '../io/make-folders.js';

/** The most bytes of such a file. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Reads the file; `undefined` where there is none.
 *
 * @throws RootfsError `ERR_FILESYSTEM` for one that is no JSON or no regular file, `ERR_LIMIT_EXCEEDED`, `ERR_PERMISSION`
 */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    const found = await stat(path);
    // A pipe would be waited for, and a device has no end.
    if (!found.isFile()) {
      throw new RootfsError('ERR_FILESYSTEM', `${path}: not a regular file; remove it`, { detail: { path } });
    }
    if (found.size > MAX_BYTES) {
      throw new RootfsError('ERR_LIMIT_EXCEEDED', `${path}: larger than ${MAX_BYTES} bytes; remove it`);
    }
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw wrapSystemError(error, path);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new RootfsError('ERR_FILESYSTEM', `${path}: it holds no JSON; remove it`, { cause: error, detail: { path } });
  }
}

/**
 * Changes the file under its lock. Readers see the old content or the new one.
 *
 * @param change Gets what is there, `undefined` for nothing; what it returns is written, `undefined` writes nothing.
 * @throws RootfsError as `readJsonFile`, `ERR_NO_SPACE`; what `change` throws; the signal's reason
 */
export async function changeJsonFile(
  path: string,
  change: (value: unknown) => unknown,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  throwIfAborted(options.signal);
  try {
    makeFolders(dirname(path));
    await withLock(
      `${path}.lock`,
      async () => {
        const next = change(await readJsonFile(path));
        if (next === undefined) return;
        await writeBeside(path, 'file', false, (temporary) => writeFile(temporary, JSON.stringify(next)));
      },
      options,
    );
  } catch (error) {
    throw systemErrorCode(error) === undefined ? error : wrapSystemError(error, path);
  }
}
