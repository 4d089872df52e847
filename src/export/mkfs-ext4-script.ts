/** What `debugfs` is told and what it answers: inodes by number, never by path, so that no name can mislead it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { compareNames, type Inode, type MergedTree, nodePath, type TreeNode } from '../rootfs/tree.js';
import { typeBits } from './erofs-plan.js';
import { isOnDisk } from './mkfs-ext4-tree.js';
import { type FoundTool, runTool, toolFailed } from './mkfs-tool.js';

const ROOT = 2;
const BANNER = /^debugfs \d.*\n/;

/** One image that `debugfs` works on, and a folder for what it reads. */
export interface Debugged {
  readonly tool: FoundTool;
  readonly image: string;
  /** A folder for scripts and values; its path holds no space, quote or newline. */
  readonly scratch: string;
  readonly signal: AbortSignal | undefined;
}

/**
 * Gives the inodes of an image what `mke2fs -d` could not know: owners, modes, times, attributes, devices, FIFOs.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` (a device whose name holds a newline), `ERR_FILESYSTEM`, `ERR_NO_SPACE`; the
 *   signal's reason
 */
export async function completeImage(debugged: Debugged, tree: MergedTree): Promise<void> {
  const numbers = await readNumbers(debugged, tree);
  await makeSpecialFiles(debugged, tree, numbers);
  const lines: string[] = [];
  for (const [inode, number] of numbers) setInode(lines, debugged, inode, number);
  await run(debugged, lines, true);
}

/** The number of each inode, level by level: a directory can be listed once its own number is known. */
async function readNumbers(debugged: Debugged, tree: MergedTree): Promise<Map<Inode, number>> {
  const numbers = new Map<Inode, number>([[tree.root.inode, ROOT]]);
  let level: TreeNode[] = [tree.root];
  while (level.length > 0) {
    const commands = level.map(({ inode }) => `ls -p <${numbers.get(inode)}>`);
    const listings = parseListings(await run(debugged, commands, false));
    if (listings.length !== level.length) throw surprising(debugged, `${listings.length} listings of ${level.length}`);
    const next: TreeNode[] = [];
    for (const [at, directory] of level.entries()) {
      const listing = listings[at] as ReadonlyMap<string, number>;
      for (const node of directory.children?.values() ?? []) {
        if (!isOnDisk(node.inode)) continue;
        const number = listing.get(node.name);
        if (number === undefined) throw surprising(debugged, `no inode of ${JSON.stringify(nodePath(node))}`);
        numbers.set(node.inode, number);
        if (node.children !== undefined) next.push(node);
      }
    }
    level = next;
  }
  return numbers;
}

/**
 * Each entry is `/inode/mode/uid/gid/name/size/`, and no name holds a slash: whatever else one holds, newlines among
 * it, splitting at slashes is safe. A directory begins with its entry `.`.
 */
function parseListings(output: string): ReadonlyMap<string, number>[] {
  const listings: Map<string, number>[] = [];
  const fields = output.split('/');
  for (let at = 1; at + 5 < fields.length; at += 7) {
    const name = fields[at + 4] as string;
    if (name === '.') listings.push(new Map());
    listings.at(-1)?.set(name, Number(fields[at]));
  }
  return listings;
}

async function makeSpecialFiles(debugged: Debugged, tree: MergedTree, numbers: Map<Inode, number>): Promise<void> {
  const lines: string[] = [];
  const made: Inode[] = [];
  const later: { readonly node: TreeNode; readonly directory: number }[] = [];
  const open: TreeNode[] = [tree.root];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    const number = numbers.get(directory.inode) as number;
    let entered = false;
    for (const node of [...(directory.children?.values() ?? [])].sort((a, b) => compareNames(a.name, b.name))) {
      if (node.children !== undefined) open.push(node);
      if (isOnDisk(node.inode)) continue;
      if (made.includes(node.inode)) {
        later.push({ node, directory: number });
        continue;
      }
      if (!entered) lines.push(`cd <${number}>`);
      entered = true;
      const { type, rdevMajor = 0, rdevMinor = 0 } = node.inode;
      const what = type === 'fifo' ? 'p' : `${type === 'char' ? 'c' : 'b'} ${rdevMajor} ${rdevMinor}`;
      lines.push(`mknod ${quoted(node)} ${what}`);
      made.push(node.inode);
    }
  }
  if (made.length === 0) return;
  const allocated = [...(await run(debugged, lines, true)).matchAll(/^Allocated inode: (\d+)$/gm)];
  if (allocated.length !== made.length)
    throw surprising(debugged, `${allocated.length} inodes for ${made.length} files`);
  for (const [at, inode] of made.entries()) numbers.set(inode, Number(allocated[at]?.[1]));
  const links = later.flatMap(({ node, directory }) => {
    const number = numbers.get(node.inode);
    return [`cd <${directory}>`, `ln <${number}> ${quoted(node)}`, `sif <${number}> links_count ${node.inode.links}`];
  });
  await run(debugged, links, true);
}

/** A name as one word of a command: in quotes, quotes doubled. */
function quoted({ name, ...node }: TreeNode): string {
  if (!/[\n\r]/.test(name)) return `"${name.replaceAll('"', '""')}"`;
  throw new RootfsError(
    'ERR_UNSUPPORTED',
    `${JSON.stringify(nodePath({ name, ...node }))}: debugfs cannot make a device or FIFO whose name holds a newline; write an erofs image`,
  );
}

function setInode(lines: string[], { scratch }: Debugged, inode: Inode, number: number): void {
  const set = (field: string, value: string | number): void => void lines.push(`sif <${number}> ${field} ${value}`);
  const mode = typeBits(inode.type) | (inode.type === 'symlink' ? 0o777 : inode.mode);
  set('mode', `0${mode.toString(8)}`);
  set('uid', inode.uid);
  set('gid', inode.gid);
  const { seconds, nanoseconds } = inode.mtime;
  const epoch = Math.floor((seconds + 2 ** 31) / 2 ** 32);
  for (const field of ['atime', 'ctime', 'mtime']) {
    set(field, `@${seconds}`);
    set(`${field}_extra`, ((nanoseconds << 2) | (epoch & 3)) >>> 0);
  }
  let count = 0;
  for (const [name, value] of inode.xattrs ?? []) {
    const file = join(scratch, `${number}-${count}`);
    writeFileSync(file, value);
    lines.push(`ea_set -f ${file} <${number}> "${name.replaceAll('"', '""')}"`);
    count += 1;
  }
}

/** Runs commands from a script. What it writes to stderr besides its own name is a failure. @returns stdout, latin1 */
async function run(debugged: Debugged, lines: readonly string[], write: boolean): Promise<string> {
  if (lines.length === 0) return '';
  const { tool, image, scratch, signal } = debugged;
  const script = join(scratch, 'script');
  writeFileSync(script, Buffer.from(`${lines.join('\n')}\n`, 'latin1'));
  const { stdout, stderr } = await runTool(tool, [...(write ? ['-w'] : []), '-f', script, image], { signal });
  const said = stderr.replace(BANNER, '');
  if (said.trim() !== '') throw toolFailed(tool, 'a command failed', said);
  return stdout.toString('latin1');
}

function surprising({ tool }: Debugged, what: string): RootfsError {
  return new RootfsError('ERR_INTERNAL', `${tool.name}: expected one answer to each command, found ${what}; report it`);
}
