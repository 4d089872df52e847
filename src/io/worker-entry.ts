/** Where the file of a worker lies, also after a bundler has moved the code that starts it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RootfsError } from '../errors.js';

/**
 * Finds the entry file of a worker: beside the code that starts it, or else inside the installed package.
 *
 * The two parts of its URL are put together here: where they stand together, some bundlers take them for a file to
 * copy, and a worker stands beside their output without the modules that it needs.
 *
 * @param name The file beside the starting module: `x-worker.js`.
 * @param beside That module's `import.meta.url`; scripts that a bundler made have none.
 * @param room The room the file lies in, for finding it in the package.
 * @throws RootfsError `ERR_INTERNAL` where neither is there: code that was bundled and shipped without the package
 */
export function workerEntry(name: string, beside: string | undefined, room: string): URL {
  if (beside === undefined) {
    throw new RootfsError(
      'ERR_INTERNAL',
      `${name}: a script cannot tell where this worker lies; bundle as a module (--format=esm), or with rootfs-kit as an external package`,
    );
  }
  const entry = new URL(name, beside);
  if (entry.protocol !== 'file:' || existsSync(entry)) return entry;
  try {
    const manifest = createRequire(import.meta.url).resolve('rootfs-kit/package.json');
    return pathToFileURL(join(dirname(manifest), 'dist', 'src', room, name));
  } catch (error) {
    throw new RootfsError(
      'ERR_INTERNAL',
      `${entry.pathname}: the worker file is missing; install rootfs-kit where the bundle runs, its workers are read there`,
      { cause: error },
    );
  }
}
