/** For who names the folder of a layout as umoci and crane do, without saying what it is: a registry is asked for it then. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ErrorCode, RootfsError, splitTransport } from '../index.js';
import type { Arguments } from './command.js';
import { text } from './options.js';

/** How it ends where a registry does not have what was meant to be a folder. */
const ABSENT: ReadonlySet<ErrorCode> = new Set(['ERR_NOT_FOUND', 'ERR_UNAUTHORIZED', 'ERR_DENIED', 'ERR_NETWORK']);

function isLayout(name: string): boolean {
  if (splitTransport(name).transport !== 'docker' || name.startsWith('docker://')) return false;
  return existsSync(join(name.replace(/@.*$/s, '').replace(/:[^/:]*$/, ''), 'oci-layout'));
}

/** The error of a command, with the layout that lies here under the name that was not found. */
export function adviseLayout(error: unknown, args: Arguments): unknown {
  if (!(error instanceof RootfsError) || !ABSENT.has(error.code)) return error;
  const named = ['image', 'source', 'destination']
    .map((name) => text(args, name))
    .find((name) => name && isLayout(name));
  if (named === undefined) return error;
  return new RootfsError(error.code, `${error.message}; the layout that lies here is oci:${named}`, {
    cause: error.cause,
    detail: error.detail,
  });
}
