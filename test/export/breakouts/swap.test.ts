/** CVE-2018-15664 and its heirs: another process swaps folders for links while a tree is written and cleaned up. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { RootfsError } from '../../../src/errors.js';
import { unpack } from '../../../src/export/unpack.js';
import { canPinDirectories, Directory } from '../../../src/io/directory.js';
import { emptyDirectory } from '../../../src/io/remove-tree.js';
import { type HandEntry, handTree } from '../../support/hand-tree.js';
import { listTree } from '../../support/list-tree.js';
import { tempDir } from '../../support/temp-dir.js';

/** Trees that are written while the other process is at it. */
const rounds = Number(process.env['ROOTFS_SWAP_ROUNDS'] ?? 1_000);

function swapper(
  where: string,
  outside: string,
): { child: ChildProcessWithoutNullStreams; lines: AsyncIterator<string> } {
  const path = fileURLToPath(new URL('../../support/swapper.js', import.meta.url));
  const child = spawn(process.execPath, [path, where, outside]);
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

function manyFiles(directories: number, extra: readonly HandEntry[]): HandEntry[] {
  const entries: HandEntry[] = [];
  for (let directory = 0; directory < directories; directory++) {
    const path = `d${directory}`;
    entries.push({ path, type: 'directory', mode: 0o751 });
    for (let file = 0; file < 6; file++) entries.push({ path: `${path}/victim${file}`, content: 'mine', mode: 0o777 });
    entries.push(
      { path: `${path}/link`, target: '/etc' },
      { path: `${path}/dir/victim`, content: 'mine', mode: 0o777 },
    );
    entries.push({ path: `${path}/hard`, linkTo: `d${directory}/victim0` });
  }
  return [...entries, ...extra];
}

test(`CVE-2018-15664: ${rounds} trees written while folders are swapped for links: nothing outside changes`, {
  skip: canPinDirectories() ? false : 'directories cannot be pinned here',
}, async (t) => {
  const folder = tempDir(t, 'swap');
  const [where, outside] = [join(folder, 'in'), join(folder, 'outside')];
  const trash = join(folder, 'trash');
  mkdirSync(where);
  mkdirSync(trash);
  const opened = Directory.open(trash);
  t.after(() => opened.close());
  mkdirSync(join(outside, 'dir'), { recursive: true });
  for (let file = 0; file < 6; file++) writeFileSync(join(outside, `victim${file}`), 'theirs', { mode: 0o600 });
  writeFileSync(join(outside, 'dir', 'victim'), 'theirs', { mode: 0o600 });
  const good = handTree(folder, manyFiles(8, []));
  // Large enough that other threads write it.
  const largeFolder = join(folder, 'large');
  mkdirSync(largeFolder);
  const large = handTree(largeFolder, manyFiles(120, []));
  const badFolder = join(folder, 'bad');
  mkdirSync(badFolder);
  // This one always fails at its last entry: what is removed then is swapped as well.
  const bad = handTree(badFolder, manyFiles(8, [{ path: `zz/${'n'.repeat(300)}`, content: 'x' }]));
  const before = listTree(outside);
  const { child, lines } = swapper(where, outside);
  try {
    assert.equal((await lines.next()).value, 'ready');
    let failures = 0;
    for (let round = 0; round < rounds; round++) {
      const { tree, layers } = round % 4 === 3 ? bad : round % 32 === 16 ? large : good;
      try {
        await unpack(tree, layers, join(where, 'root'), { workers: 2 });
      } catch (error) {
        assert.ok(error instanceof RootfsError, String(error));
        failures++;
      }
      // Out of the swapper's reach before it is removed.
      for (const name of readdirSync(where)) renameSync(join(where, name), join(trash, `${round}${name}`));
      emptyDirectory(opened);
      if (round % 50 === 49) assert.deepEqual(listTree(outside), before, `round ${round}`);
    }
    child.stdin.write('stop\n');
    const swaps = Number((await lines.next()).value);
    assert.ok(swaps >= rounds, `only ${swaps} swaps in ${rounds} rounds`);
    t.diagnostic(`${swaps} swaps, ${failures} of ${rounds} runs failed`);
    assert.ok(failures >= Math.floor(rounds / 4));
  } finally {
    child.kill();
  }
  assert.deepEqual(listTree(outside), before);
});
