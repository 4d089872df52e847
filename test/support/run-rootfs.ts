/** The command line as people run it: a process of its own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How one command ended. */
export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The command's file. */
export const ROOTFS_MAIN = fileURLToPath(new URL('../../../bin/rootfs.js', import.meta.url));

/** Runs `rootfs` with these words. No settings of this machine's users are read. */
export async function runRootfs(
  words: readonly string[],
  options: { readonly input?: Uint8Array; readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<CommandEnd> {
  const child = spawn(process.execPath, [ROOTFS_MAIN, ...words], {
    cwd: options.cwd,
    env: {
      PATH: process.env['PATH'],
      HOME: '/dev/null/home',
      TMPDIR: process.env['TMPDIR'],
      // A cache that a test looks into holds what the test put there.
      NODE_DISABLE_COMPILE_CACHE: '1',
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout: Buffer.concat(stdout), stderr };
}
