/** The two errors of the tar reader, worded alike everywhere. */
import { RootfsError } from '../errors.js';

/**
 * An archive that is not what the tar format allows.
 *
 * @param offset Where in the uncompressed archive, in bytes; stands in `detail.offset`.
 * @param problem What was expected and what was found.
 */
export function tarInvalid(
  offset: number,
  problem: string,
  detail: Readonly<Record<string, unknown>> = {},
): RootfsError {
  return new RootfsError(
    'ERR_TAR_INVALID',
    `tar at byte ${offset}: ${problem}; the archive is damaged or hostile, get it again from its maker`,
    {
      detail: { offset, ...detail },
    },
  );
}

/** An archive that asks for more than a limit allows. `option` names the limit that can be raised. */
export function tarLimitExceeded(
  offset: number,
  what: string,
  option: string,
  limit: number,
  found: number,
): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `tar at byte ${offset}: ${what}: expected at most ${limit}, found ${found}; raise ${option} if the archive is honest`,
    { detail: { offset, option, limit, found } },
  );
}

/** Bytes as text for a message: printable ASCII as it is, the rest escaped, cut after 80 characters. */
export function printable(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(
    cut.replace(/[^\x20-\x7e…]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`),
  );
}
