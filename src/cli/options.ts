/** Options that several commands share, each declared once, and how they become the library's options. */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import type { Options } from 'yargs';
import { type Credential, isStream, type OpenOptions, RootfsError, systemErrorCode } from '../index.js';
import type { Arguments } from './command.js';
import { parseDuration } from './quantity.js';

/** Options of every command. */
export const GLOBAL_OPTIONS: Readonly<Record<string, Options>> = {
  json: { type: 'boolean', describe: 'One JSON value on stdout; errors as JSON on stderr', group: 'Output:' },
  quiet: { alias: 'q', type: 'boolean', describe: 'No progress and no notes', group: 'Output:' },
  progress: {
    choices: ['auto', 'bars', 'plain', 'json', 'none'],
    default: 'auto',
    describe: 'Progress on stderr: bars on a terminal, plain lines elsewhere',
    group: 'Output:',
  },
  debug: { type: 'boolean', describe: 'Add the stack to an error', group: 'Output:' },
};

/** The most ranges of one blob at once. */
const MAX_RANGES = 32;

/** Options of every command that picks one platform. */
export const PLATFORM_OPTIONS: Readonly<Record<string, Options>> = {
  platform: { type: 'string', describe: 'os/arch[/variant]; default: linux on this processor', group: 'Image:' },
  os: { type: 'string', describe: 'The operating system part of --platform', group: 'Image:' },
  arch: { type: 'string', describe: 'The processor part of --platform', group: 'Image:' },
};

/** The same for commands that take what the name points at where no platform is asked for. */
export const POINTED_PLATFORM_OPTIONS: Readonly<Record<string, Options>> = {
  ...PLATFORM_OPTIONS,
  platform: {
    type: 'string',
    describe: 'The image for os/arch[/variant]; default: what the name points at, also an index',
    group: 'Image:',
  },
};

/** Options of every command that may talk to a registry. */
export const REGISTRY_OPTIONS: Readonly<Record<string, Options>> = {
  'plain-http': { type: 'boolean', describe: 'Speak http (default only for loopback hosts)', group: 'Registry:' },
  'tls-verify': { type: 'boolean', describe: 'Check the server certificate (default true)', group: 'Registry:' },
  'ca-file': { type: 'string', describe: 'PEM file of authorities to trust besides the system', group: 'Registry:' },
  creds: { type: 'string', describe: 'USER:PASSWORD (visible to other users of this machine)', group: 'Registry:' },
  username: { alias: 'u', type: 'string', describe: 'User name', group: 'Registry:' },
  authfile: { type: 'string', describe: 'Auth file to read instead of the usual ones', group: 'Registry:' },
  'no-creds': { type: 'boolean', describe: 'Go as nobody: look for no credentials', group: 'Registry:' },
  'password-stdin': { type: 'boolean', describe: 'Read the password from stdin', group: 'Registry:' },
  timeout: { type: 'string', default: '30s', describe: 'Longest silence of a server', group: 'Registry:' },
  retry: { type: 'number', default: 5, describe: 'Attempts in a row without progress', group: 'Registry:' },
  'max-retry-after': {
    type: 'string',
    default: '60s',
    describe: 'Longest wait that a registry may ask for',
    group: 'Registry:',
  },
};

/** What a timer holds, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** A string option, or `undefined` when it was not given. */
export function text(args: Arguments, name: string): string | undefined {
  const value = args[name];
  return typeof value === 'string' ? value : undefined;
}

/** A boolean option, or `undefined` when it was not given. */
export function flag(args: Arguments, name: string): boolean | undefined {
  const value = args[name];
  return typeof value === 'boolean' ? value : undefined;
}

/** A whole number of at least `least`. @throws RootfsError `ERR_OPTION_INVALID` */
export function whole(
  args: Arguments,
  name: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = args[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} up` : `${least} to ${most}`;
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `--${name}: ${value} cannot be used; give a whole number from ${range}`,
    );
  }
  return value;
}

/** How long an option allows to wait, `leastMs` or more, in milliseconds. @throws RootfsError `ERR_OPTION_INVALID` */
function waitOf(args: Arguments, name: string, leastMs: number): number {
  const value = args[name] ?? REGISTRY_OPTIONS[name]?.default;
  const ms = parseDuration(name, value);
  if (ms >= leastMs && ms <= LONGEST_MS) return ms;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `--${name}: ${JSON.stringify(value)} is no time to wait; give one from ${leastMs}ms to 24d`,
  );
}

/** `--jobs`, within what the library takes. @throws RootfsError `ERR_OPTION_INVALID` */
export function jobsOf(args: Arguments): number | undefined {
  return whole(args, 'jobs', 1, 64);
}

/** A positional argument or a required option. @throws RootfsError `ERR_OPTION_INVALID` */
export function required(args: Arguments, name: string, shown: string): string {
  const value = text(args, name);
  if (value === undefined || value === '') throw new RootfsError('ERR_OPTION_INVALID', `${shown} is required`);
  return value;
}

/** The platform asked for, as text, from `--platform` or `--os` and `--arch`; `undefined` when none was. */
export function platformText(args: Arguments, hostOs: string, hostArch: string): string | undefined {
  const platform = text(args, 'platform');
  const os = text(args, 'os');
  const arch = text(args, 'arch');
  if (os === undefined && arch === undefined) return platform;
  if (platform !== undefined) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      '--platform already says os and arch; give it alone, or --os and --arch',
    );
  }
  if (os?.includes('/') === true) {
    throw new RootfsError('ERR_OPTION_INVALID', `--os ${os}: a whole platform; give it as --platform ${os}`);
  }
  return `${os ?? hostOs}/${arch ?? hostArch}`;
}

/** What `--parallel-ranges` says; `undefined` where it was not given. @throws RootfsError `ERR_OPTION_INVALID` */
export function parallelRanges(args: Arguments): number | 'auto' | undefined {
  const value = text(args, 'parallel-ranges');
  if (value === undefined || value === 'auto') return value;
  if (/^\d{1,2}$/.test(value) && Number(value) >= 1 && Number(value) <= MAX_RANGES) return Number(value);
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `--parallel-ranges ${JSON.stringify(value)}: expected auto, or a whole number from 1 to ${MAX_RANGES}`,
  );
}

let password: Promise<string> | undefined;

/** Standard input is there once, whoever asks. */
function readPassword(signal: AbortSignal): Promise<string> {
  password ??= readStdin(signal);
  return password;
}

async function readStdin(signal: AbortSignal): Promise<string> {
  if (process.stdin.isTTY) {
    throw new RootfsError('ERR_OPTION_INVALID', '--password-stdin: stdin is a terminal; pipe the password in');
  }
  let read = '';
  process.stdin.setEncoding('utf8');
  addAbortSignal(signal, process.stdin);
  for await (const chunk of process.stdin) {
    read += String(chunk);
    if (read.length > 65_536) throw new RootfsError('ERR_OPTION_INVALID', '--password-stdin: more than 64 KiB came in');
  }
  const found = read.replace(/\r?\n$/, '');
  if (found !== '') return found;
  throw new RootfsError('ERR_OPTION_INVALID', '--password-stdin: stdin holds no password; pipe it in');
}

async function explicitCredential(args: Arguments, signal: AbortSignal): Promise<Credential | undefined> {
  const creds = text(args, 'creds');
  const username = text(args, 'username');
  const fromStdin = flag(args, 'password-stdin') === true;
  if (args['creds'] === false && (username !== undefined || fromStdin || text(args, 'authfile') !== undefined)) {
    throw new RootfsError('ERR_OPTION_INVALID', '--no-creds means nobody; give it alone, or say who you are');
  }
  if (creds !== undefined) {
    if (username !== undefined || fromStdin) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        '--creds already says who; give it alone, or --username and --password-stdin',
      );
    }
    return splitCredential('creds', creds);
  }
  if (username === undefined && !fromStdin) return undefined;
  const sources = [text(args, 'image'), text(args, 'source')];
  if (fromStdin && sources.some((source) => source !== undefined && isStream(source))) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      '--password-stdin: stdin holds the archive; use --authfile, or name the archive as a file',
    );
  }
  if (username === undefined || !fromStdin) {
    throw new RootfsError('ERR_OPTION_INVALID', '--username and --password-stdin go together; give both');
  }
  return { username, password: await readPassword(signal) };
}

/** Reads `USER:PASSWORD`. @throws RootfsError `ERR_OPTION_INVALID`, without what was given */
export function splitCredential(option: string, creds: string): Credential {
  const colon = creds.indexOf(':');
  if (colon < 1) {
    const found = colon < 0 ? 'there is no colon' : 'there is no user name';
    throw new RootfsError('ERR_OPTION_INVALID', `--${option} takes USER:PASSWORD; ${found} in what was given`);
  }
  return { username: creds.slice(0, colon), password: creds.slice(colon + 1) };
}

/** Not by reading it: a pipe gives what it holds only once, and a device without end. */
async function requireReadable(option: string, path: string | undefined, advice: string): Promise<void> {
  if (path === undefined) return;
  const refuse = (why: string, cause?: unknown): RootfsError =>
    new RootfsError('ERR_OPTION_INVALID', `--${option} ${path}: ${why}; ${advice}`, { cause });
  const found = await stat(path).catch((error: unknown) => {
    throw refuse(systemErrorCode(error) === 'ENOENT' ? 'there is no such file' : 'cannot be read', error);
  });
  if (found.isDirectory()) throw refuse('cannot be read');
  await access(path, constants.R_OK).catch((error: unknown) => {
    throw refuse('cannot be read', error);
  });
}

/**
 * The registry options, for opening a source; the password comes from stdin where that was asked for.
 *
 * @param signal Ends the wait for it.
 */
export async function registryArguments(args: Arguments, signal: AbortSignal): Promise<OpenOptions> {
  await requireReadable('authfile', text(args, 'authfile'), 'name an auth file, or leave it out');
  return unreadRegistryArguments(args, signal);
}

/** The same for a login, which makes the file that `--authfile` names. */
export async function unreadRegistryArguments(args: Arguments, signal: AbortSignal): Promise<OpenOptions> {
  const caFile = text(args, 'ca-file');
  const authFile = text(args, 'authfile');
  await requireReadable('ca-file', caFile, 'name a PEM file');
  return {
    plainHttp: flag(args, 'plain-http'),
    tlsVerify: flag(args, 'tls-verify'),
    caFile,
    credential: await explicitCredential(args, signal),
    authFile,
    // `--no-creds` is `creds: false`.
    findCredentials: args['creds'] !== false,
    timeoutMs: waitOf(args, 'timeout', 1),
    retry: whole(args, 'retry', 0, 1_000) ?? 5,
    maxRetryAfterMs: waitOf(args, 'max-retry-after', 0),
    parallelRanges: parallelRanges(args),
  };
}
