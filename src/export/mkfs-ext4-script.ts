/** What `debugfs` is told and what it answers: inodes by number, never by path, so that no name can mislead it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { type Inode, type MergedTree, nodePath, type TreeNode } from '../rootfs/tree.js';
import { walkTree } from '../rootfs/walk-tree.js';
import { deviceNumber } from './erofs-format.js';
import { FIXED_CLOCK } from './mkfs-ext4-same.js';
import { addedNames } from './mkfs-ext4-tree.js';
import { type FoundTool, runTool, toolFailed } from './mkfs-tool.js';
import { typeBits } from './type-bits.js';

const ROOT = 2;
/** Names of one inode: EXT4_LINK_MAX of Linux. A directory with more has a count of 1, which means many. */
export const MAX_LINKS = 65_000;
/** Commands of one script: all those of an image of very many files together are more than one text can hold. */
const BATCH = 50_000;
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
 * Gives the inodes of an image what `mke2fs -d` could not know. From a folder of one user that is owners, modes, times,
 * attributes, devices and FIFOs; from a tar, of times all but the seconds of the last change, and of attributes all but
 * capabilities.
 *
 * @throws RootfsError `ERR_UNSUPPORTED` (a device whose name holds a newline), `ERR_FILESYSTEM`, `ERR_NO_SPACE`; the
 *   signal's reason
 */
export async function completeImage(debugged: Debugged, tree: MergedTree, fromTar: boolean): Promise<void> {
  const added: ReadonlySet<TreeNode> = fromTar ? new Set() : addedNames(tree);
  const numbers = await readNumbers(debugged, tree, added);
  await addNames(debugged, added, numbers);
  const values = new Map<Buffer, string>();
  let lines: string[] = [];
  for (const [inode, number] of numbers) {
    if (!fromTar) setStatus(lines, inode, number);
    setTimes(lines, inode, number);
    for (const [name, value] of inode.xattrs ?? []) {
      if (fromTar && name === 'security.capability') continue;
      lines.push(`ea_set -f ${fileOf(value, debugged, values)} <${number}> "${name.replaceAll('"', '""')}"`);
    }
    if (lines.length < BATCH) continue;
    await run(debugged, lines, true);
    lines = [];
  }
  for (const { node } of walkTree(tree)) {
    // mke2fs goes on counting, past what the field holds.
    if (directoryLinks(node) > MAX_LINKS) setField(lines, numbers.get(node.inode) as number, 'links_count', 1);
  }
  await run(debugged, lines, true);
}

/** A directory's own two names and the `..` of those in it, `lost+found` in the root among them; 0 for what is none. */
function directoryLinks({ children, parent }: TreeNode): number {
  if (children === undefined) return 0;
  let links = parent === undefined && !children.has('lost+found') ? 3 : 2;
  for (const child of children.values()) if (child.children !== undefined) links += 1;
  return links;
}

/** The number of each inode, level by level: a directory can be listed once its own number is known. */
async function readNumbers(
  debugged: Debugged,
  tree: MergedTree,
  added: ReadonlySet<TreeNode>,
): Promise<Map<Inode, number>> {
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
        if (added.has(node)) continue;
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

/** Devices, FIFOs, and the further names of what `mke2fs` gives only one. */
async function addNames(debugged: Debugged, added: ReadonlySet<TreeNode>, numbers: Map<Inode, number>): Promise<void> {
  const numberOf = ({ inode }: { readonly inode: Inode }): number => numbers.get(inode) as number;
  const lines: string[] = [];
  const made = new Set<Inode>();
  const further: TreeNode[] = [];
  for (const node of added) {
    const { inode, parent } = node;
    if (made.has(inode) || numbers.has(inode)) {
      further.push(node);
      continue;
    }
    // Devices get their numbers later: mknod of debugfs takes no minor above 65,535.
    const what = inode.type === 'fifo' ? 'p' : `${inode.type === 'char' ? 'c' : 'b'} 0 0`;
    lines.push(`cd <${numberOf(parent as TreeNode)}>`, `mknod ${quoted(node)} ${what}`);
    made.add(inode);
  }
  const allocated = [...(await run(debugged, lines, true)).matchAll(/^Allocated inode: (\d+)$/gm)];
  if (allocated.length !== made.size) throw surprising(debugged, `${allocated.length} inodes for ${made.size} files`);
  for (const [at, inode] of [...made].entries()) numbers.set(inode, Number(allocated[at]?.[1]));
  const links = further.flatMap((node) => [
    `cd <${numberOf(node.parent as TreeNode)}>`,
    `ln <${numberOf(node)}> ${quoted(node)}`,
    `sif <${numberOf(node)}> links_count ${node.inode.links}`,
  ]);
  await run(debugged, links, true);
}

/** A name as one word of a command: in quotes, quotes doubled. */
function quoted({ name, ...node }: TreeNode): string {
  if (!/[\n\r]/.test(name)) return `"${name.replaceAll('"', '""')}"`;
  throw new RootfsError(
    'ERR_UNSUPPORTED',
    `${JSON.stringify(nodePath({ name, ...node }))}: debugfs cannot give this kind of file a name that holds a newline; write an erofs image`,
  );
}

function setField(lines: string[], number: number, field: string, value: string | number): void {
  lines.push(`sif <${number}> ${field} ${value}`);
}

function setStatus(lines: string[], inode: Inode, number: number): void {
  const mode = typeBits(inode.type) | (inode.type === 'symlink' ? 0o777 : inode.mode);
  setField(lines, number, 'mode', `0${mode.toString(8)}`);
  setField(lines, number, 'uid', inode.uid);
  setField(lines, number, 'gid', inode.gid);
  if (inode.type !== 'char' && inode.type !== 'block') return;
  setDevice((field, value) => setField(lines, number, field, value), inode.rdevMajor ?? 0, inode.rdevMinor ?? 0);
}

function setTimes(lines: string[], inode: Inode, number: number): void {
  const { seconds, nanoseconds } = inode.mtime;
  // The field holds 32 bits, the extra one two more; given unsigned, since debugfs takes -1 for no time at all.
  const epoch = Math.floor((seconds + 2 ** 31) / 2 ** 32);
  for (const field of ['atime', 'ctime', 'mtime']) {
    setField(lines, number, field, `@${((seconds % 2 ** 32) + 2 ** 32) % 2 ** 32}`);
    setField(lines, number, `${field}_extra`, ((nanoseconds << 2) | (epoch & 3)) >>> 0);
  }
}

/** The file that a value is read from: one for all inodes that share it, as they do what a global header says. */
function fileOf(value: Buffer, { scratch }: Debugged, files: Map<Buffer, string>): string {
  const known = files.get(value);
  if (known !== undefined) return known;
  const file = join(scratch, `value-${files.size}`);
  writeFileSync(file, value);
  files.set(value, file);
  return file;
}

/** Small numbers stand in the first word of the block map, others in the second; the one not used is 0. */
function setDevice(set: (field: string, value: number) => void, major: number, minor: number): void {
  const small = major < 256 && minor < 256;
  set('block[0]', small ? (major << 8) | minor : 0);
  set('block[1]', small ? 0 : (deviceNumber(major, minor) ?? 0));
}

/** Runs commands from a script. What it writes to stderr besides its own name is a failure. @returns stdout, latin1 */
async function run(debugged: Debugged, lines: readonly string[], write: boolean): Promise<string> {
  if (lines.length === 0) return '';
  const { tool, image, scratch, signal } = debugged;
  const script = join(scratch, 'script');
  writeFileSync(script, Buffer.from(`${lines.join('\n')}\n`, 'latin1'));
  const { stdout, stderr } = await runTool(tool, [...(write ? ['-w'] : []), '-f', script, image], {
    env: FIXED_CLOCK,
    signal,
  });
  const said = stderr.replace(BANNER, '');
  if (said.trim() !== '') throw toolFailed(tool, 'a command failed', said);
  return stdout.toString('latin1');
}

function surprising({ tool }: Debugged, what: string): RootfsError {
  return new RootfsError('ERR_INTERNAL', `${tool.name}: expected one answer to each command, found ${what}; report it`);
}
