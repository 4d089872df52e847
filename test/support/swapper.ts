/**
 * The other process: swaps folders of a tree that is being written for links to a folder outside, as fast as it can.
 * Arguments: the folder in which the tree grows, the folder outside. Says how often it swapped when its input ends.
 */
import { readdirSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

const [, , where = '', outside = ''] = process.argv;
let swaps = 0;
let stopped = false;
process.stdin.on('data', () => {
  stopped = true;
});

/** Does what it can and minds no failure: what it works on comes and goes. */
function tries(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function swapOne(root: string): void {
  let names: string[] = [];
  tries(() => {
    names = readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  });
  const whole = names.filter((one) => !one.endsWith('~'));
  const name = whole[swaps % Math.max(whole.length, 1)];
  if (name === undefined) return;
  const path = join(root, name);
  if (!tries(() => renameSync(path, `${path}~`))) return;
  if (tries(() => symlinkSync(outside, path))) swaps++;
  tries(() => unlinkSync(path));
  tries(() => renameSync(`${path}~`, path));
}

function round(): void {
  let roots: string[] = [];
  tries(() => {
    roots = readdirSync(where).filter((name) => name.startsWith('.root') || name === 'root');
  });
  for (const name of roots) swapOne(join(where, name));
  if (!stopped) {
    setImmediate(round);
    return;
  }
  process.stdout.write(`${swaps}\n`, () => process.exit(0));
}

process.stdout.write('ready\n');
round();
