// Runs the compiled tests: `unit` (one room each), `integration` (real tools and servers), or `all`.
// Where the tools of an integration test are missing, that test names them and skips;
// with ROOTFS_REQUIRE_TOOLS=1 it fails instead.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../dist/test/', import.meta.url));
const kind = process.argv[2] ?? 'all';
const only = process.argv.slice(3);
const all = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => kind === 'all' || (kind === 'integration') === file.startsWith('integration/'))
  .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
  .sort()
  .map((file) => join(root, file));
if (all.length === 0) {
  console.error(`no compiled ${kind} test found under ${root}; run npm run build first`);
  process.exit(1);
}
const run = spawnSync(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...all], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
