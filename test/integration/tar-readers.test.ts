/**
 * The tar reader and writer against GNU tar, bsdtar and Python's tarfile: one odd folder, archived by each in each
 * format it knows, unpacked by GNU tar and bsdtar, and read here; type, mode, owner, ns time, content, attributes and
 * link groups must be the same. As root: devices and owners.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type LayerTar, mergeLayers } from '../../src/rootfs/merge.js';
import type { MergedTree } from '../../src/rootfs/tree.js';
import { walkTree } from '../../src/rootfs/walk-tree.js';
import { endOfArchive, padding } from '../../src/tar/block.js';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { encodeHeader } from '../../src/tar/write-header.js';
import { differences, flatMerged } from '../support/flat-tree.js';
import { realTrees } from '../support/real-tree.js';
import { tempDir } from '../support/temp-dir.js';
import { needs } from '../support/tools.js';

const skip =
  process.getuid?.() === 0 ? needs('tar', 'bsdtar', 'python3') : 'needs root: owners and devices are compared';

const MAKE_FOLDER = `
import os, sys
root = os.fsencode(sys.argv[1])
long = sys.argv[2] == "long"
def put(name, data=b"", mode=0o644, uid=0, gid=0, ns=1_600_000_000_000_000_000):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    os.utime(path, ns=(ns, ns))
    return path
put(b"plain", b"x" * 700)
put(b"empty", b"", 0o4755, 1000, 100)
put(b"sub/exact", b"y" * 1024, 0o600, 65534, 200000)
put(b"caf\\xc3\\xa9 \\n name", b"utf8")
os.link(os.path.join(root, b"plain"), os.path.join(root, b"sub/other name"))
os.symlink(b"../plain", os.path.join(root, b"sub/link"))
os.symlink(b"nowhere", os.path.join(root, b"dangling"))
os.mkfifo(os.path.join(root, b"fifo"), 0o640)
os.mknod(os.path.join(root, b"null"), 0o20666, os.makedev(1, 3))
os.mknod(os.path.join(root, b"disk"), 0o60660, os.makedev(8, 17))
if long:
    put(b"\\xff\\xfe bytes", b"not utf8", ns=1_600_000_000_123_456_789)
    put(b"n" * 200, b"long name", uid=3_000_000)
    put(b"d" * 120 + b"/" + b"e" * 120 + b"/" + b"f" * 120, b"deep")
    os.symlink(b"t" * 300, os.path.join(root, b"long link"))
    os.link(os.path.join(root, b"n" * 200), os.path.join(root, b"z hard link to a long name"))
    put(b"old", b"before the epoch", ns=-1_500_000_000)
    with open(put(b"sparse"), "r+b") as file:
        for offset in (0, 40960, 1_000_000 // 4096 * 4096):
            file.seek(offset)
            file.write(b"data%d" % offset)
        file.truncate(3_000_000)
    path = put(b"attributes", b"a")
    os.setxattr(path, b"user.note", b"line\\none=\\xff\\x00end")
    os.setxattr(path, b"security.capability", bytes.fromhex("0100000200200a0000000000000000000000000a"))
    os.setxattr(os.path.join(root, b"sub"), b"trusted.t", b"dir")
for folder, names, files in os.walk(root, topdown=False):
    os.utime(folder, ns=(1_600_000_001_000_000_000,) * 2)
`;

const PYTHON = (format: string): string => `
import sys, tarfile
with tarfile.open(sys.argv[1], "w", format=tarfile.${format}) as archive:
    archive.add(sys.argv[2], arcname=".")
`;

/** How a folder is archived: tool, arguments; which folder it can hold. */
const WRITERS: Readonly<Record<string, { long: boolean; command: (tar: string, folder: string) => string[] }>> = {
  ...Object.fromEntries(
    ['gnu', 'oldgnu', 'posix', 'ustar', 'v7'].map((format) => [
      `GNU tar ${format}`,
      {
        long: format !== 'ustar' && format !== 'v7',
        command: (tar: string, folder: string) => [
          'tar',
          `--format=${format}`,
          '--numeric-owner',
          ...(format === 'posix' ? ['--xattrs', '--xattrs-include=*'] : []),
          ...(format === 'ustar' || format === 'v7' ? [] : ['--sparse']),
          '-cf',
          tar,
          '-C',
          folder,
          '.',
        ],
      },
    ]),
  ),
  ...Object.fromEntries(
    ['0.0', '0.1', '1.0'].map((version) => [
      `GNU tar sparse ${version}`,
      {
        long: true,
        command: (tar: string, folder: string) => [
          'tar',
          '--format=posix',
          '--sparse',
          `--sparse-version=${version}`,
          '-cf',
          tar,
          '-C',
          folder,
          '.',
        ],
      },
    ]),
  ),
  ...Object.fromEntries(
    ['pax', 'gnutar', 'ustar'].map((format) => [
      `bsdtar ${format}`,
      {
        long: format !== 'ustar',
        command: (tar: string, folder: string) => ['bsdtar', `--format=${format}`, '-cf', tar, '-C', folder, '.'],
      },
    ]),
  ),
  ...Object.fromEntries(
    ['PAX_FORMAT', 'GNU_FORMAT', 'USTAR_FORMAT'].map((format) => [
      `Python ${format}`,
      {
        long: format !== 'USTAR_FORMAT',
        command: (tar: string, folder: string) => ['python3', '-c', PYTHON(format), tar, folder],
      },
    ]),
  ),
};

const ENVIRONMENT = { ...process.env, LC_ALL: 'C.UTF-8' };
const EXPECTED_COMPLAINT =
  /Unknown file type; file ignored|Exiting with failure status|can't be converted|Can't translate|Error exit delayed|hdrcharset/;

function run([tool, ...args]: readonly string[]): string {
  return execFileSync(tool as string, args, { encoding: 'latin1', stdio: 'pipe', env: ENVIRONMENT });
}

/** Runs a tool that does what it can and complains of the rest: v7 knows no devices, bsdtar no names beyond UTF-8. */
function tryRun(command: readonly string[]): void {
  const { stderr } = spawnSync(command[0] as string, command.slice(1), { encoding: 'latin1', env: ENVIRONMENT });
  const complaints = stderr.split('\n').filter((line) => line !== '' && !EXPECTED_COMPLAINT.test(line));
  assert.deepEqual(complaints, [], command.join(' '));
}

function makeFolder(folder: string, long: boolean): string {
  mkdirSync(folder);
  run(['python3', '-c', MAKE_FOLDER, folder, long ? 'long' : 'short']);
  return folder;
}

async function checkAgainstTools(folder: string, tar: string, writer: string): Promise<void> {
  const layer: LayerTar = { path: tar, tarBytes: statSync(tar).size };
  const ours = flatMerged(await mergeLayers([layer]), [layer]);
  assert.ok(ours.size >= 9, `${writer}: only ${ours.size} paths`);
  const places = ['gnu', 'bsd'].map((name) => join(folder, `${writer.replaceAll(' ', '-')}-${name}`));
  for (const place of places) mkdirSync(place);
  const [gnu = '', bsd = ''] = places;
  run([
    'tar',
    '--numeric-owner',
    '--delay-directory-restore',
    '--xattrs',
    '--xattrs-include=*',
    '-xpf',
    tar,
    '-C',
    gnu,
  ]);
  tryRun(['bsdtar', '--numeric-owner', '-xpf', tar, '-C', bsd]);
  const [byGnu = new Map(), byBsd = new Map()] = realTrees(places);
  assert.deepEqual(differences(ours, byGnu), [], `${writer}, unpacked by GNU tar`);
  // bsdtar leaves the folder it unpacks into as it is, gives up on names that are no UTF-8, and takes -1.5 for -0.5
  const known = (path: string): boolean => path === '' || path === 'old' || path.startsWith('\xff\xfe');
  const found = differences(ours, byBsd).filter(({ path }) => !known(path));
  assert.deepEqual(found, [], `${writer}, unpacked by bsdtar`);
}

test('archives of all formats are read as GNU tar and bsdtar unpack them', { skip }, async (t) => {
  const folder = tempDir(t, 'readers');
  const folders = { long: makeFolder(join(folder, 'long'), true), short: makeFolder(join(folder, 'short'), false) };
  for (const [writer, { long, command }] of Object.entries(WRITERS)) {
    const tar = join(folder, `${writer}.tar`);
    tryRun(command(tar, long ? folders.long : folders.short));
    await t.test(writer, () => checkAgainstTools(folder, tar, writer));
  }
});

const LIST_MEMBERS = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], errors="surrogateescape", encoding="utf-8") as archive:
    for m in archive:
        name = lambda text: text.encode("utf-8", "surrogateescape").decode("latin1")
        print(json.dumps([name(m.name).rstrip("/"), m.size if m.isreg() else 0, m.mode & 0o7777, m.uid, m.gid,
                          int(m.mtime // 1), name(m.linkname), m.isdir(), m.islnk(), m.issym(), m.devmajor * m.isdev()]))
`;

test("archives of all formats are listed as Python's tarfile lists them", { skip }, async (t) => {
  const folder = tempDir(t, 'listing');
  const folders = { long: makeFolder(join(folder, 'long'), true), short: makeFolder(join(folder, 'short'), false) };
  for (const [writer, { long, command }] of Object.entries(WRITERS)) {
    const tar = join(folder, `${writer}.tar`);
    tryRun(command(tar, long ? folders.long : folders.short));
    const ours = [...readTarFile(tar)].map((entry) => [
      entry.name.replace(/\/+$/, ''),
      entry.size,
      entry.mode,
      entry.uid,
      entry.gid,
      entry.mtime.seconds,
      entry.linkname,
      entry.type === 'directory',
      entry.type === 'hardlink',
      entry.type === 'symlink',
      entry.devmajor,
    ]);
    const theirs = run(['python3', '-c', LIST_MEMBERS, tar]);
    assert.deepEqual(
      ours,
      theirs
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      writer,
    );
  }
});

test('plain archives are listed as npm tar lists them', { skip }, async (t) => {
  const folder = tempDir(t, 'npm');
  const source = makeFolder(join(folder, 'short'), false);
  const types: Record<string, string> = {
    File: 'file',
    OldFile: 'file',
    Directory: 'directory',
    SymbolicLink: 'symlink',
    Link: 'hardlink',
    CharacterDevice: 'char',
    BlockDevice: 'block',
    FIFO: 'fifo',
  };
  const { list } = await import('tar');
  for (const [writer, { command }] of Object.entries(WRITERS)) {
    const path = join(folder, `${writer}.tar`);
    tryRun(command(path, source));
    const theirs: unknown[] = [];
    await list({
      file: path,
      onReadEntry: (entry) => {
        // npm tar splits PAX records at newlines, and so loses this path
        if (entry.path.includes('\n')) return;
        const linked = entry.type === 'Link' || entry.type === 'SymbolicLink';
        theirs.push([entry.path, types[entry.type], entry.size, entry.mode, entry.uid, linked ? entry.linkpath : '']);
      },
    });
    const members = [...readTarFile(path)].filter(({ name }) => !name.includes('\n'));
    const ours = members.map((entry) => [
      Buffer.from(entry.name, 'latin1').toString(),
      entry.type,
      entry.size,
      entry.mode,
      entry.uid,
      entry.linkname,
    ]);
    assert.deepEqual(ours, theirs, writer);
  }
});

test('what the writer writes is unpacked by GNU tar and bsdtar to the same tree', { skip }, async (t) => {
  const folder = tempDir(t, 'writer');
  const source = join(folder, 'source.tar');
  run(WRITERS['GNU tar posix']?.command(source, makeFolder(join(folder, 'long'), true)) ?? []);
  const layer: LayerTar = { path: source, tarBytes: statSync(source).size };
  const rewritten = join(folder, 'rewritten.tar');
  writeFileSync(rewritten, rewrite(await mergeLayers([layer]), source));
  await checkAgainstTools(folder, rewritten, 'our writer');
  const [before, after] = await Promise.all(
    [layer, { path: rewritten, tarBytes: statSync(rewritten).size }].map(async (one) =>
      flatMerged(await mergeLayers([one]), [one]),
    ),
  );
  assert.deepEqual(after, before);
});

function rewrite(tree: MergedTree, source: string): Buffer {
  const parts: Buffer[] = [];
  const first = new Map<object, string>();
  const fd = openSync(source, 'r');
  for (const { path, node } of walkTree(tree)) {
    const { inode } = node;
    const target = first.get(inode);
    first.set(inode, path);
    const runs =
      inode.data?.extents ??
      (inode.data === undefined ? [] : [{ tarOffset: inode.data.tarOffset, length: inode.size }]);
    const name = inode.type === 'directory' ? `./${path}/` : `./${path}`;
    const linked = target !== undefined;
    parts.push(
      encodeHeader({
        ...inode,
        name,
        type: linked ? 'hardlink' : inode.type,
        linkname: linked ? `./${target}` : inode.linkTarget,
        devmajor: inode.rdevMajor,
        devminor: inode.rdevMinor,
        xattrs: linked ? undefined : inode.xattrs,
        extents: inode.data?.extents,
      }),
    );
    if (linked || inode.type !== 'file') continue;
    const data = runs.map(({ tarOffset, length }) => {
      const bytes = Buffer.alloc(length);
      readSync(fd, bytes, 0, length, tarOffset);
      return bytes;
    });
    parts.push(...data, padding(data.reduce((sum, { length }) => sum + length, 0)));
  }
  closeSync(fd);
  return Buffer.concat([...parts, endOfArchive()]);
}
