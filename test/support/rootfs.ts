/** Runs the command as a person would: a process of its own, with a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));

/** The command's file. */
export const ROOTFS_BIN = join(REPOSITORY, 'bin', 'rootfs.js');

/** How a run ended. */
export interface Ran {
  /** The exit code; `null` when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and how to run. */
export interface RunOptions {
  readonly cwd?: string | undefined;
  /** Added to an environment of PATH, and of a HOME that cannot be, not by root either. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | undefined;
  /** Gets the process when it has started. */
  readonly started?: ((child: ChildProcess) => void) | undefined;
}

/** Runs a program to its end. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawn(file, args, {
    cwd: options.cwd ?? REPOSITORY,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: '/dev/null/home',
      // A cache that a test looks into holds what the test put there.
      NODE_DISABLE_COMPILE_CACHE: '1',
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  options.started?.(child);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** Runs `rootfs` to its end. */
export function rootfs(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(process.execPath, [ROOTFS_BIN, ...args], options);
}
