/** Bars, as the bundled command draws them: what stands in for a package there must serve this one too. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { image, startRegistry } from '../../src/testing/testing.js';
import { type CommandEnd, runRootfs } from '../support/run-rootfs.js';

const bytes = Buffer.from(Array.from({ length: 60_000 }, (_, at) => (at * 7919) % 251));
const SHOW_CURSOR = 'ESC[?25h';

/** Ends the process right after bars are there, as a second Ctrl-C does. */
const EXIT_AMID = `const { write } = process.stderr;
process.stderr.write = (text, ...more) => {
  if (String(text).includes('[?25l')) setTimeout(() => process.exit(130), 50);
  return write.call(process.stderr, text, ...more);
};`;

/**
 * Runs a command on images whose layers take a second to arrive, with a stderr that says it is a terminal.
 *
 * @param words The command, of a repository with these `tags` and a path that is not there.
 * @param more Runs before the command.
 */
async function onTerminal(
  words: (repository: string, out: string) => readonly string[],
  tags: readonly string[],
  env: Readonly<Record<string, string>>,
  more = '',
): Promise<CommandEnd> {
  await using registry = await startRegistry({ faults: [{ on: 'blob', do: 'slow', bytesPerSecond: 60_000 }] });
  for (const tag of tags) {
    const built = image().compression('none');
    registry.add('app', tag, built.layer((layer) => layer.file(tag, bytes)).build());
  }
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-bars-'));
  try {
    const preload = join(folder, 'terminal.cjs');
    const terminal = 'process.stderr.isTTY = true; process.stderr.columns = 80; process.stderr.rows = 24;';
    writeFileSync(preload, `${terminal}\n${more}`);
    const end = await runRootfs(words(`${registry.host}/app`, join(folder, 'out')), {
      env: { NODE_OPTIONS: `--require ${preload}`, TERM: 'xterm', ...env },
    });
    return { ...end, stderr: end.stderr.replaceAll('\x1b', 'ESC') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function extractOnTerminal(env: Readonly<Record<string, string>>, more?: string): Promise<CommandEnd> {
  return onTerminal((repository, out) => ['extract', '--dst', out, repository], ['latest'], env, more);
}

test('on a terminal, bars show what arrives, and are gone when the command ends', async () => {
  const { code, stdout, stderr } = await extractOnTerminal({ NO_COLOR: '1' });
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /^sha256:[0-9a-f]{64}\t\d+\t.+\n$/);
  assert.match(stderr, /\d+% 0\/1 layer [\d.]+ kB of [\d.]+ kB/);
  assert.match(stderr, /\d+% [0-9a-f]{12} [\d.]+ kB/);
  assert.doesNotMatch(stderr, /ESC\[3\dm/, 'NO_COLOR is obeyed');
  assert.match(stderr.slice(stderr.lastIndexOf(SHOW_CURSOR)), /ESC\[0Jrootfs: 1 layer, .*verified/);
});

test('several images have one bar for the whole, which counts all of them', async () => {
  const { code, stderr } = await onTerminal(
    (repository, out) => ['copy', '--all-tags', repository, `oci:${out}`],
    ['a', 'b'],
    { NO_COLOR: '1' },
  );
  assert.equal(code, 0, stderr);
  const wholes = stderr.split(/ESC\[\d+A/).flatMap((frame) => {
    // A bar that stands alone is drawn over itself, in one line.
    const lines = frame.split('\n').map((line) => [...line.matchAll(/(\d+)\/(\d+) blobs/g)]);
    const drawn = lines.filter((counts) => counts.length > 0);
    assert.ok(drawn.length <= 1, `${drawn.length} bars for the whole`);
    return drawn.flat().map(([, done, all]) => `${done} of ${all}`);
  });
  assert.ok(wholes.includes('1 of 2') && wholes.includes('3 of 4'), wholes.join('; '));
  for (const whole of wholes) assert.match(whole, /^(?:[012] of 2|[234] of 4)$/);
});

test('bars have colour where the terminal has', async () => {
  const { code, stderr } = await extractOnTerminal({ FORCE_COLOR: '1' });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /ESC\[36m.*ESC\[39m +\d+% 0\/1 layer/);
});

test('a terminal that cannot move its cursor gets lines', async () => {
  const { code, stderr } = await extractOnTerminal({ TERM: 'dumb' });
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ESC/);
  assert.match(stderr, /^rootfs: 1 layer, .*verified/m);
});

test('a terminal has its cursor back where the process ends in the middle', async () => {
  const { code, stderr } = await extractOnTerminal({}, EXIT_AMID);
  assert.equal(code, 130, stderr);
  assert.match(stderr, /ESC\[\?25l.*ESC\[\?25h/s);
});
