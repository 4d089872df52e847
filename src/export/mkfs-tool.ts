/** The file system tools of other projects: finding them, and running one to its end. */
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { hasRoom } from './has-room.js';

/** A tool, and the Debian package that has it. */
export interface Tool {
  readonly name: string;
  readonly package: string;
}

/** A tool that is here. */
export interface FoundTool {
  readonly name: string;
  readonly path: string;
}

/** What a tool said. */
export interface ToolOutput {
  readonly stdout: Buffer;
  readonly stderr: string;
}

const MAX_STDERR = 64 * 1024;
const FULL_ADVICE = 'free some space or choose another folder';
const TOO_LARGE_ADVICE = 'allow larger files (ulimit -f), or choose another file system';
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/**
 * The first of some tools that is here: on `PATH`, or where administrators' tools lie.
 *
 * @throws RootfsError `ERR_TOOL_MISSING`, naming the packages
 */
export function findTool(form: string, tools: readonly Tool[]): FoundTool {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute), ...SYSTEM_FOLDERS];
  for (const { name } of tools) {
    for (const folder of folders) {
      const path = join(folder, name);
      if (isProgram(path)) return { name, path };
    }
  }
  const names = tools.map(({ name }) => name).join(' or ');
  const packages = [...new Set(tools.map((tool) => tool.package))].join(' or ');
  throw new RootfsError(
    'ERR_TOOL_MISSING',
    `${form}: ${names} is not installed; on Debian: apt-get install ${packages.replaceAll(' or ', ', or apt-get install ')}`,
    { detail: { tools: tools.map(({ name }) => name) } },
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a tool to its end.
 *
 * @param input What it reads; without it, nothing.
 * @throws RootfsError `ERR_FILESYSTEM` or `ERR_NO_SPACE` with what the tool said; what `input` fails with; the signal's
 *   reason, after the tool has ended
 */
export async function runTool(
  tool: FoundTool,
  args: readonly string[],
  options: {
    readonly input?: Readable | undefined;
    /** What differs from this process's environment; `undefined` takes a variable away. */
    readonly env?: Readonly<Record<string, string | undefined>> | undefined;
    /** The file it writes: some tools do not say that its file system is full. */
    readonly output?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<ToolOutput> {
  const { input, signal } = options;
  throwIfAborted(signal);
  const child = spawn(tool.path, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Newer versions of some tools cut times by SOURCE_DATE_EPOCH: an image has those of its tree.
    env: { ...process.env, LC_ALL: 'C', SOURCE_DATE_EPOCH: undefined, ...options.env },
  });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', (error) => reject(notStarted(tool, error)));
    child.once('close', (code, killed) => resolve(code ?? killed ?? 'unknown'));
  });
  // Where no more files can be opened, Node gives it no streams, and says why later.
  if ((child.stdin as Writable | undefined) === undefined) await ended;
  const stop = (): void => {
    child.kill('SIGKILL');
    // What it started may hold them open.
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  };
  signal?.addEventListener('abort', stop, { once: true });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < MAX_STDERR) stderr += chunk.toString();
  });
  let broken: unknown;
  const fed =
    input === undefined
      ? new Promise<void>((resolve) => child.stdin.on('error', () => {}).end(resolve))
      : pipeline(input, child.stdin);
  const feeding = fed.catch((error: unknown) => {
    broken = error;
    // A tool that ended early says why itself.
    if (!['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemErrorCode(error) ?? '')) stop();
  });
  try {
    const code = await ended;
    await feeding;
    throwIfAborted(signal);
    if (broken !== undefined && !['EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemErrorCode(broken) ?? '')) {
      throw broken;
    }
    if (code === 0) return { stdout: Buffer.concat(stdout), stderr };
    throw toolFailed(tool, `exit ${code}`, stderr, options.output);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Why a tool did not run at all. */
function notStarted(tool: FoundTool, error: Error): RootfsError {
  const isLimit = systemErrorCode(error) === 'EAGAIN';
  return wrapSystemError(error, tool.name, isLimit ? 'allow more processes (ulimit -u)' : undefined);
}

/** A tool's failure as an error: what it said last. */
export function toolFailed(tool: FoundTool, how: string, stderr: string, output?: string): RootfsError {
  const said = stderr.trim().split('\n').slice(-3).join('; ').slice(0, 1000);
  // Its folder is asked: tar2sqfs removes the file when it fails.
  const full = output !== undefined && !hasRoom(dirname(output));
  const tooLarge = how === 'exit SIGXFSZ';
  const small = /no space left|could not allocate|disk full|inodes_count \(\d+\) too big/i.test(stderr);
  const advice = full ? FULL_ADVICE : small ? 'give it more space' : tooLarge ? TOO_LARGE_ADVICE : 'see what it says';
  return new RootfsError(
    full || small ? 'ERR_NO_SPACE' : 'ERR_FILESYSTEM',
    `${tool.name}: ${how}${said === '' ? '' : `: ${said}`}; ${advice}`,
    { detail: { tool: tool.path } },
  );
}
