/**
 * Removes what was compiled from sources that are no more: the compiler leaves it, it would be packed, and tests that
 * somebody deleted or renamed would run on. Usage: node build/remove-stale.mjs [FOLDER of the project]
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = process.argv[2] ?? fileURLToPath(new URL('../', import.meta.url));
for (const room of ['src', 'test', 'fixtures']) {
  const compiled = join(project, 'dist', room);
  for (const file of readdirSync(compiled, { recursive: true, encoding: 'utf8' })) {
    const module = /^(.*?)(?:\.d\.ts|\.js)$/.exec(file)?.[1];
    if (module !== undefined && !existsSync(join(project, room, `${module}.ts`))) rmSync(join(compiled, file));
  }
}
