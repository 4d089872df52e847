/** Running test files again as somebody else: as an ordinary user, or as root of a user namespace. */
import { spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Who runs it: an ordinary user, root of a user namespace (both need root to become them), or who runs now. */
export type Other = 'user' | 'namespace' | 'self';

const NOBODY = 65534;

/** What a run of test files came to. */
export interface OtherRun {
  readonly status: number | null;
  readonly pass: number;
  readonly output: string;
}

/** Runs compiled test files, given by URL, as `other`, with a temporary folder of their own. */
export function runTestsAs(other: Other, files: readonly URL[], env: Readonly<Record<string, string>> = {}): OtherRun {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-other-'));
  if (other !== 'self') chownSync(folder, NOBODY, NOBODY);
  try {
    const drop =
      other === 'self' ? [] : ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const enter = other === 'namespace' ? ['unshare', '--user', '--map-root-user', '--mount'] : [];
    const node = [process.execPath, '--test', '--test-reporter=tap', ...files.map((file) => fileURLToPath(file))];
    const [command = '', ...args] = [...drop, ...enter, ...node];
    const run = spawnSync(command, args, {
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        TMPDIR: folder,
        HOME: folder,
        ROOTFS_TEST_AS: other,
        ...env,
      },
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const output = `${run.stdout}${run.stderr}`;
    return { status: run.status, pass: Number(/^# pass (\d+)$/m.exec(output)?.[1] ?? 0), output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Who this process is in such a run; `undefined` in the outermost. */
export function runningAs(): string | undefined {
  return process.env['ROOTFS_TEST_AS'];
}
