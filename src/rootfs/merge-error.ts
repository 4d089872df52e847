/** The errors of the merge, worded alike everywhere. `merge.ts` adds which layer they are about. */
import { RootfsError } from '../errors.js';
import { printable } from '../tar/tar-invalid.js';

/** A layer that cannot be applied: `path` is the entry it is about, bytes as latin1; `advice` is what to do. */
export function layerInvalid(
  path: string,
  problem: string,
  advice = 'the image is broken or hostile, get it again from its maker',
): RootfsError {
  return new RootfsError('ERR_LAYER_INVALID', `${printable(path)}: ${problem}; ${advice}`, { detail: { entry: path } });
}

/** An image that asks for more than a limit allows. `option` names the limit that can be raised. */
export function mergeLimitExceeded(
  path: string,
  what: string,
  option: string,
  limit: number,
  found: number,
): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${printable(path)}: ${what}: expected at most ${limit}, found ${found}; raise ${option} if the image is honest`,
    { detail: { entry: path, option, limit, found } },
  );
}
