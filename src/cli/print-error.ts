/** How an error is told: one or two lines for people, one JSON value for scripts, the stack only when asked for. */
import { inspect } from 'node:util';
import { RootfsError } from '../index.js';
import { ExitCode, exitCodeOf } from './exit-code.js';
import { printable, printableJson } from './printable.js';

/** How to tell it. */
export interface PrintErrorOptions {
  readonly json: boolean;
  readonly debug: boolean;
  readonly write: (text: string) => void;
}

/** What is ours of an error: one that nobody foresaw is a defect, unless the working directory has been removed. */
function coded(error: unknown): RootfsError | undefined {
  if (error instanceof RootfsError) return error;
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).syscall !== 'uv_cwd') return undefined;
  const message = 'working directory: it is there no more; change into another folder';
  return new RootfsError('ERR_FILESYSTEM', message, { cause: error });
}

/** Tells an error on stderr and returns the exit code it stands for. */
export function printError(error: unknown, options: PrintErrorOptions): number {
  const known = coded(error);
  const shown =
    known ??
    new RootfsError('ERR_INTERNAL', `internal error: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  const stack = options.debug ? inspect(error, { depth: 4 }) : undefined;
  if (options.json) options.write(`${printableJson(JSON.stringify({ error: { ...shown.toJSON(), stack } }))}\n`);
  else {
    const hint = known !== undefined ? '' : '; this is a defect of rootfs, --debug shows where';
    options.write(`rootfs: ${printable(shown.message)}${hint} [${shown.code}]\n`);
    if (stack !== undefined) options.write(`${stack.split('\n').map(printable).join('\n')}\n`);
  }
  return known !== undefined ? exitCodeOf(shown.code) : ExitCode.failure;
}
