/** Where the file of a worker lies, also after a bundler has moved the code that starts it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RootfsError } from '../errors.js';

/**
 * Finds the entry file of a worker: beside the code that starts it, or else inside the installed package.
 *
 * @param beside The file beside the starting module: `new URL('./x-worker.js', import.meta.url)`.
 * @param room The room the file lies in, for finding it in the package.
 * @throws RootfsError `ERR_INTERNAL` where neither is there: code that was bundled and shipped without the package
 */
export function workerEntry(beside: URL, room: string): URL {
  if (beside.protocol !== 'file:' || existsSync(beside)) return beside;
  const name = beside.pathname.slice(beside.pathname.lastIndexOf('/') + 1);
  try {
    const manifest = createRequire(import.meta.url).resolve('rootfs-kit/package.json');
    return pathToFileURL(join(dirname(manifest), 'dist', 'src', room, name));
  } catch (error) {
    throw new RootfsError(
      'ERR_INTERNAL',
      `${beside.pathname}: the worker file is missing; bundle with rootfs-kit as an external package, or copy the file there`,
      { cause: error },
    );
  }
}
