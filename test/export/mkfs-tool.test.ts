import assert from 'node:assert/strict';
import childProcess from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { writeSquashfs } from '../../src/export/mkfs-squashfs.js';
import { findTool, runTool } from '../../src/export/mkfs-tool.js';
import { handTree } from '../support/hand-tree.js';
import { tempDir } from '../support/temp-dir.js';

const shell = (): { name: string; path: string } => findTool('test', [{ name: 'sh', package: 'dash' }]);

test('a tool that is missing is an error that names the packages', async (t) => {
  const folder = tempDir(t);
  const { tree, layers } = handTree(folder, [{ path: 'file', content: 'x' }]);
  const before = process.env['PATH'];
  process.env['PATH'] = folder;
  try {
    await assert.rejects(writeSquashfs(tree, layers, join(folder, 'image')), {
      code: 'ERR_TOOL_MISSING',
      message: /tar2sqfs or sqfstar is not installed.*squashfs-tools-ng, or apt-get install squashfs-tools$/,
    });
  } finally {
    process.env['PATH'] = before;
  }
  assert.deepEqual(readdirSync(folder), ['layer.tar']);
});

test('a tool gets its input and says its output', async () => {
  const input = Readable.from([Buffer.from('a'), Buffer.from('b')]);
  const { stdout, stderr } = await runTool(shell(), ['-c', 'cat; echo aside >&2'], { input });
  assert.deepEqual([stdout.toString(), stderr], ['ab', 'aside\n']);
});

test('what a tool fails with is told; a full disk has its own code', async (t) => {
  await assert.rejects(runTool(shell(), ['-c', 'echo broken >&2; exit 3']), {
    code: 'ERR_FILESYSTEM',
    message: /^sh: exit 3: broken/,
  });
  await assert.rejects(runTool(shell(), ['-c', 'echo No space left on device >&2; exit 1']), { code: 'ERR_NO_SPACE' });
  // mke2fs, where --size is too small for so many files
  const small = 'echo "inode_size (256) * inodes_count (10144) too big for a" >&2; exit 1';
  await assert.rejects(runTool(shell(), ['-c', small]), { code: 'ERR_NO_SPACE' });
  // tar2sqfs says "I/O error" only; the file system of /proc has no room
  await assert.rejects(runTool(shell(), ['-c', 'echo I/O error >&2; exit 1'], { output: '/proc/version' }), {
    code: 'ERR_NO_SPACE',
    message: /I\/O error; free some space or choose another folder$/,
  });
  // it also removes its output, which does not make the disk full
  const removed = join(tempDir(t), 'image');
  await assert.rejects(runTool(shell(), ['-c', 'echo rejecting >&2; exit 1'], { output: removed }), {
    code: 'ERR_FILESYSTEM',
    message: /rejecting; see what it says$/,
  });
  // a limit of this process that the tool has, too
  await assert.rejects(runTool(shell(), ['-c', 'ulimit -c 0; kill -XFSZ $$']), {
    code: 'ERR_FILESYSTEM',
    message: 'sh: exit SIGXFSZ; allow larger files (ulimit -f), or choose another file system',
  });
  // ends without reading: its own words count, not the broken pipe
  const input = Readable.from(Array.from({ length: 64 }, () => Buffer.alloc(65_536)));
  await assert.rejects(runTool(shell(), ['-c', 'echo no >&2; exit 1'], { input }), { message: /sh: exit 1: no/ });
});

test('a tool that cannot be started: why, and what a limit needs', async (t) => {
  const tool = { name: 'tool', path: join(tempDir(t), 'tool') };
  const message = `tool: spawn ${tool.path} ENOENT`;
  await assert.rejects(runTool(tool, []), { code: 'ERR_FILESYSTEM', message });
  const original = childProcess.spawn;
  t.after(() => {
    childProcess.spawn = original;
    syncBuiltinESMExports();
  });
  childProcess.spawn = ((...args: Parameters<typeof original>) =>
    original(...args).prependOnceListener('error', (error) =>
      Object.assign(error, { code: 'EAGAIN', message: 'spawn tool EAGAIN' }),
    )) as typeof original;
  syncBuiltinESMExports();
  await assert.rejects(runTool(tool, []), {
    code: 'ERR_FILESYSTEM',
    message: 'tool: spawn tool EAGAIN; allow more processes (ulimit -u)',
  });
});

test('a tool that no more files can be opened for is an error: nothing is thrown where nobody listens', async (t) => {
  const original = childProcess.spawn;
  t.after(() => {
    childProcess.spawn = original;
    syncBuiltinESMExports();
  });
  // What Node gives then: no streams, and the error in the next turn.
  childProcess.spawn = (() => {
    const child = new EventEmitter();
    const error = Object.assign(new Error('spawn tool EMFILE'), { code: 'EMFILE' });
    process.nextTick(() => child.emit('error', error));
    return child;
  }) as unknown as typeof original;
  syncBuiltinESMExports();
  await assert.rejects(runTool({ name: 'tool', path: '/bin/tool' }, [], { input: Readable.from(['x']) }), {
    code: 'ERR_FILESYSTEM',
    message: 'tool: spawn tool EMFILE; allow more open files (ulimit -n)',
  });
});

test('input that fails ends the tool and is the error; an abort does, with its reason', async () => {
  const broken = new Error('broken input');
  const failing = Readable.from(
    (async function* () {
      yield Buffer.from('x');
      throw broken;
    })(),
  );
  await assert.rejects(runTool(shell(), ['-c', 'cat >/dev/null; sleep 60'], { input: failing }), broken);
  const reason = new Error('enough');
  const controller = new AbortController();
  const running = runTool(shell(), ['-c', 'echo started; sleep 60'], { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(running, reason);
});

test('a tool has the environment of this process, without a latest time and in plain English', async (t) => {
  for (const [name, value] of [
    ['SOURCE_DATE_EPOCH', '1500'],
    ['ROOTFS_TEST', 'kept'],
    ['LC_ALL', 'de_DE.UTF-8'],
  ] as const) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
  const show = 'echo "$SOURCE_DATE_EPOCH,$ROOTFS_TEST,$LC_ALL"';
  assert.equal((await runTool(shell(), ['-c', show])).stdout.toString(), ',kept,C\n');
  const env = { SOURCE_DATE_EPOCH: '7' };
  assert.equal((await runTool(shell(), ['-c', show], { env })).stdout.toString(), '7,kept,C\n');
});
