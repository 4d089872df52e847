// Runs the compiled tests: `unit` (one room each), `integration` (real tools and servers), or `all`.
// Where the tools of an integration test are missing, that test names them and skips;
// with ROOTFS_REQUIRE_TOOLS=1 it fails instead.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('..', import.meta.url));
const kind = process.argv[2] ?? 'all';
const only = process.argv.slice(3);

/** Whether an ordinary user can read this folder: as root, some tests run again as one. */
function isOpenToOthers() {
  if (process.getuid?.() !== 0) return true;
  const drop = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const files = [join(repository, 'package.json'), join(repository, 'dist', 'test'), join(repository, 'node_modules')];
  return files.every((file) => {
    const seen = spawnSync('setpriv', [...drop, 'test', '-r', file]);
    return seen.error !== undefined || seen.status === 0;
  });
}

/** Runs the tests of the project in `folder`; returns the runner's exit code. */
function run(folder) {
  const root = join(folder, 'dist', 'test');
  const all = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => kind === 'all' || (kind === 'integration') === file.startsWith('integration/'))
    .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
    .sort()
    .map((file) => join(root, file));
  if (all.length === 0) {
    console.error(`no compiled ${kind} test found under ${root}; run npm run build first`);
    return 1;
  }
  const args = ['--test', '--test-concurrency=2', '--test-reporter=spec', ...all];
  return spawnSync(process.execPath, args, { cwd: folder, stdio: 'inherit' }).status ?? 1;
}

if (isOpenToOthers()) process.exitCode = run(repository);
else {
  const copy = mkdtempSync(join(tmpdir(), 'rootfs-kit-copy-'));
  try {
    console.log(`${repository} is closed to other users; the tests run from a copy in ${copy}`);
    for (const name of readdirSync(repository)) {
      if (name !== '.git' && name !== '.cache') {
        cpSync(join(repository, name), join(copy, name), { recursive: true, verbatimSymlinks: true });
      }
    }
    spawnSync('chmod', ['-R', 'a+rX', copy]);
    chmodSync(copy, 0o755);
    process.exitCode = run(copy);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
