/** Lines as people type them: understood where there is one meaning, refused by name where there is none. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { image, startRegistry, writeLayout } from '../../src/testing/testing.js';
import { ROOTFS_BIN, rootfs, run } from '../support/rootfs.js';
import { tempDir } from '../support/temp-dir.js';

const built = image()
  .layer((layer) => layer.file('a', 'x'.repeat(300_000)))
  .layer((layer) => layer.file('b', 'y'))
  .build();

let folder = '';
before(async (t) => {
  folder = tempDir(t as { after(fn: () => void): void });
  await writeLayout(join(folder, 'h'), { latest: built });
});

const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['', /^rootfs: no command given; see rootfs --help \[/],
  ['--quiet', /^rootfs: no command given; see/],
  ['--versoin', /^rootfs: no command given, did you mean --version\?; see/],
  ['-v', /^rootfs: no command given, did you mean --version\?; see/],
  ['nope', /^rootfs: unknown command "nope"; see rootfs --help/],
  ['extrat oci:h', /unknown command "extrat", did you mean extract\?/],
  ['list-tags docker://debian', /unknown command "list-tags", did you mean tags\?/],
  ['catalog localhost:5000', /unknown command "catalog", did you mean repos\?/],
  ['image inspect oci:h', /unknown command "image", did you mean inspect\?/],
  ['image rm oci:h', /unknown command "image", did you mean delete\?/],
  ['repo ls localhost:5000', /unknown command "repo", did you mean repos\?/],
  ['repo tags oci:h', /unknown command "repo", did you mean tags\?/],
  ['registry login localhost', /unknown command "registry", did you mean login\?/],
  ['system prune', /unknown command "system", did you mean cache prune\?/],
  ['image sign oci:h', /unknown command "image"; see/],
  ['prune', /unknown command "prune", did you mean cache prune\?/],
  ['verify oci:h', /unknown command "verify", did you mean validate\?/],
  ['EXTRACT oci:h', /unknown command "EXTRACT", did you mean extract\?/],
  ['inspect --JSON oci:h', /unknown option --JSON, did you mean --json\?/],
  ['inspect --raw oci:h', /unknown option --raw, did you mean rootfs manifest\?/],
  ['inspect --config oci:h', /unknown option --config, did you mean rootfs config\?/],
  ['copy --all oci:h oci:d', /unknown option --all, did you mean --platform\?/],
  ['copy --format oci oci:h oci:d', /unknown option --format; see/],
  ['inspect --format x oci:h', /unknown option --format, did you mean --json\?/],
  ['copy --dest-compress oci:h oci:d', /unknown option --dest-compress; see/],
  ['delete -f oci:h', /unknown option -f; see/],
  ['manifest --raw oci:h', /unknown option --raw; see/],
  ['repack oci:h', /unknown command "repack"; see/],
  ['unpack -C d oci:h', /unknown option -C, did you mean --dst\?/],
  ['inspect ocidir://h', /ocidir: is no kind of place; did you mean oci:h\?/],
  ['flatten -o d.tar.gz oci:h', /--output d\.tar\.gz: the tar is not compressed; name it \.tar, or pipe it/],
  ['flatten -o d.tgz oci:h', /the tar is not compressed/],
  ['flatten -q -o d/ oci:nowhere', /--output d\/: a folder; name a file/],
  ['mkfs -q -o d/ oci:nowhere', /--output d\/: a folder; name a file/],
  ['pull -q -o - --json oci:h', /"--output -: --json and the archive cannot share stdout; name a file"/],
  [
    'copy -q --json oci:h docker-archive:-',
    /"docker-archive:-: --json and the archive cannot share stdout; name a file"/,
  ],
  ['copy --platform all --arch arm64 oci:h oci:d', /--platform already says os and arch; give it alone/],
  ['validate --platform all --os linux oci:h', /--platform already says os and arch; give it alone/],
  ['inspect -', /"-" does not say what stdin or stdout holds; name it, as in docker-archive:-/],
  ['copy oci:h -', /"-" does not say what stdin or stdout holds/],
  ['extract', /extract: --dst is missing; see rootfs extract --help/],
  ['extract oci:h', /extract: --dst is missing/],
  ['extract --dst', /--dst needs a value/],
  ['extract --dst= oci:h', /--dst needs a value/],
  ['extract --dst d', /extract: IMAGE is missing/],
  ['extract --jobs --dst d oci:h', /--jobs needs a value/],
  ['extract --jobs x --dst d oci:h', /--jobs: "x" is not a number/],
  ['extract --jobs 0 --dst d oci:h', /--jobs: 0 cannot be used; give a whole number from 1 to 64/],
  ['copy --jobs 65 oci:h oci:d', /--jobs: 65 cannot be used; give a whole number from 1 to 64/],
  ['copy --upload-chunk 1 oci:h oci:d', /--upload-chunk 1: give a size of 64KiB or more, below 2GiB/],
  ['copy --upload-chunk 2GiB oci:h oci:d', /--upload-chunk 2GiB: give a size/],
  ['copy --upload-chunk 1MiB oci:h oci:d', /--upload-chunk speaks of a registry, and oci:d is none; leave it out/],
  ['copy --mount-from a/b oci:h docker-daemon:d', /--mount-from speaks of a registry, and docker-daemon:d is none/],
  ['copy oci:h zz/', /"zz\/" is not an image reference but a path; .* oci:zz\/ or dir:zz\//],
  ['copy oci:h a.b/c/', /a part of the repository name is empty/],
  ['mkfs -o - oci:h', /--output -: .* cannot go to stdout; name a file/],
  ['mkfs -q --format ext4 --size 1k -o d oci:nowhere', /--size 1k: too small; give 1MiB or more/],
  ['unpack -q --no-store --uid-map 5:5 --dst d oci:h', /uid 0 of .* widen it \(--uid-map\), .* \(--no-same-owner,/],
  ['extract --jobs 2 --jobs 3 --dst d oci:h', /--jobs was given more than once; give it once/],
  ['extract --dst d oci:h more', /unexpected "more": extract takes IMAGE/],
  ['extract --dst d -- oci:h more', /unexpected "more"/],
  ['extract --dest d oci:h', /unknown option --dest, did you mean --dst\?/],
  ['extract -o d oci:h', /unknown option -o, did you mean --dst\?/],
  ['extract -k --dst d oci:h', /unknown option -k;/],
  ['extract --override-os linux --dst d oci:h', /unknown option --override-os, did you mean --os\?/],
  ['extract --insecure --dst d oci:h', /--insecure, did you mean --plain-http or --no-tls-verify\?/],
  ['extract --src-tls-verify=false --dst d oci:h', /--src-tls-verify, did you mean --tls-verify\?/],
  ['login -u me -p secret localhost', /unknown option -p, did you mean --password-stdin\?/],
  ['mkfs --override-os linux -v oci:h', /--override-os, did you mean --os\?/],
  ['completion --override-os x bash', /unknown option --override-os;/],
  ['completion constructor', /"constructor" is no shell we complete for; choose bash, zsh or fish/],
  ['extract -qx --dst d oci:h', /unknown option -x in -qx/],
  ['inspect --no-crds oci:h', /unknown option --no-crds, did you mean --no-creds\?/],
  ['inspect --__proto__=x oci:h', /unknown option --__proto__/],
  ['inspect --constructor oci:h', /unknown option --constructor/],
  ['--constructor inspect oci:h', /unknown option --constructor; see rootfs inspect/],
  ['--__proto__ inspect oci:h', /unknown option --__proto__; see rootfs inspect/],
  ['inspect --authfile="nowhere" oci:h', /--authfile "nowhere": there is no such file/],
  ['inspect --json=maybe oci:h', /--json is a switch: true or false, not "maybe"/],
  ['inspect --progress loud oci:h', /--progress: "loud" cannot be chosen; choose auto, bars/],
  ['inspect --timeout 0s oci:h', /--timeout: "0s" is no time to wait/],
  ['inspect --timeout -5s oci:h', /--timeout: "-5s" is not understood; .* \(ms, s, m, h or d\)/],
  ['inspect --creds :secret oci:h', /--creds takes USER:PASSWORD; there is no user name/],
  ['inspect --creds secret oci:h', /--creds takes USER:PASSWORD; there is no colon/],
  ['inspect --no-creds --creds a:b oci:h', /--creds contradicts --no-creds/],
  ['inspect --cache --cache=false oci:h', /--cache=false contradicts --cache;/],
  ['inspect --no-cache --no-cache=false oci:h', /--no-cache=false contradicts --no-cache;/],
  ['inspect --help=all oci:h', /--help takes no value; see rootfs inspect --help/],
  ['inspect --authfile nowhere oci:h', /--authfile nowhere: there is no such file/],
  ['unpack --no-store --store s --dst d oci:h', /--store contradicts --no-store/],
  ['inspect oci:h@sha256:0123', /"sha256:0123" is not a digest/],
  ['inspect ./h', /"\.\/h" is not an image reference but a path; .* oci:\.\/h or dir:\.\/h/],
  ['inspect ../x.tar', /docker-archive:\.\.\/x\.tar or oci-archive:/],
  ['inspect containers-storage:alpine', /containers-storage: is not read here/],
  ['inspect image.tar', /not an image reference but a path; .* docker-archive:image\.tar or oci-archive:/],
  ['inspect docker-deamon:app', /docker-deamon: is no kind of place; did you mean docker-daemon:app\?/],
  ['inspect Docker_Archive:a.tar', /did you mean docker-archive:a\.tar\?/],
  ['inspect 127.0.0.1:5000', /a registry without an image; name one there, as in 127\.0\.0\.1:5000\/app:v1/],
  ['instances localhost:5000', /a registry without an image/],
  ['copy oci:h ./d', /"\.\/d" is not an image reference but a path; .* oci:\.\/d or dir:\.\/d/],
  ['copy oci:h d.tar', /docker-archive:d\.tar or oci-archive:d\.tar/],
  ['copy oci:h ocidir:d', /did you mean oci:d\?/],
  ['copy oci:h oci-archiv:d', /did you mean oci-archive:d\?/],
  ['copy oci:h localhost:5000', /a registry without an image/],
  ['copy oci:h oci:', /a path is missing; name a path, as in oci:\.\/image:v1/],
  ['copy oci:h docker-archive:', /name a path, as in docker-archive:\.\/image\.tar/],
  ['copy oci:h oci:-', /a folder cannot go to standard output; use oci-archive:-/],
  ['copy oci:h dir:-', /a folder cannot go to standard output/],
  ['pull oci:h -o docker-archive:d.tar', /a path belongs here; try -o d\.tar/],
  ['pull oci:h -o oci:d', /a path belongs here; try rootfs copy IMAGE oci:d/],
  ['inspect oci:-', /a folder cannot come from standard input; use oci-archive:-/],
  // A variable that is not set, a file that is not there: the registry would be told a wrong password.
  ['login -u me --password-stdin localhost', /--password-stdin: stdin holds no password; pipe it in/],
  ['inspect -u me --password-stdin localhost/x', /stdin holds no password/],
  ['inspect docker-archive:- --username me --password-stdin', /stdin holds the archive/],
  ['copy docker-archive:-:x localhost/x --username me --password-stdin', /stdin holds the archive/],
  ['push docker-archive:- localhost/x --username me --password-stdin', /stdin holds the archive/],
  ['copy --cache -a localhost/x oci:d', /--all-tags asks the registry which there are; leave out --cache/],
  ['pull --offline -a localhost/x -o d.tar', /--all-tags asks the registry which there are; leave out --cache/],
  ['copy -a oci:h:team/app oci:d', /oci:h:team\/app: with --all-tags a place has no tag; leave it out/],
  ['copy -a oci:h oci-archive:d:team/app', /oci-archive:d:team\/app: with --all-tags a place has no tag/],
  ['copy -a oci:h docker-archive:d:team/app:v1', /with --all-tags a place has no tag/],
  ['pull -a oci:h:team/app -o d.tar', /with --all-tags a place has no tag/],
  ['digest --os linux/arm64 oci:h', /--os linux\/arm64: a whole platform; give it as --platform linux\/arm64/],
  ['digest --json=true --nope oci:h', /^\{"error":\{"code":"ERR_OPTION_INVALID","message":"unknown option --nope/],
  ['tag oci:h oci:h:v2', /NEWTAG is a tag in the place of IMAGE/],
];

for (const [line, message] of REFUSED) {
  test(`refused: rootfs ${line}`, async () => {
    const { code, stdout, stderr } = await rootfs(line === '' ? [] : line.split(' '), { cwd: folder });
    assert.equal(code, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.doesNotMatch(stderr, /secret/);
    assert.ok(!existsSync(join(folder, 'd')));
  });
}

const UNDERSTOOD: readonly string[] = [
  '-q digest oci:h',
  '-- digest oci:h',
  'digest -- oci:h',
  '--progress plain digest oci:h',
  'digest -q -q oci:h',
  'digest oci:h --tls-verify false',
  'digest --timeout=5s oci:./h',
  'digest --no-creds oci:h',
];

test('a name that the system refuses to look at is an error of that file, not a defect', async () => {
  const name = 'n'.repeat(300);
  for (const line of [`unpack --dst ${name} oci:h`, `mkfs -o ${name} oci:h`, `flatten -o ${name} oci:h`]) {
    const { code, stderr } = await rootfs([...line.split(' '), '-q', '--no-store'], { cwd: folder });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /n{255,}: ENAMETOOLONG.*\[ERR_FILESYSTEM\]\n$/);
  }
});

test('an archive is not made under the name of a folder', async () => {
  for (const form of ['docker-archive', 'oci-archive']) {
    const { code, stderr } = await rootfs(['copy', '-q', 'oci:h', `${form}:d/`], { cwd: folder });
    assert.deepEqual([code, stderr], [1, 'rootfs: d/: a folder; name a file in it [ERR_FILESYSTEM]\n']);
    assert.ok(!existsSync(join(folder, 'd')));
  }
});

test('a layout is not made where a file lies, and one layer is called one', async () => {
  const made = await rootfs(['copy', '-q', 'oci:h', `oci:${join(folder, 'h/index.json')}`], { cwd: folder });
  assert.equal(made.code, 1, made.stderr);
  assert.match(made.stderr, /h\/index\.json: not a folder; give a folder \[/);
  const single = image().layer((layer) => layer.file('a', 'a'));
  await writeLayout(join(folder, 'single'), { latest: single.build() });
  assert.match((await rootfs(['inspect', '-q', 'oci:single'], { cwd: folder })).stdout, /^1 layer, \d+ B compressed$/m);
  assert.match((await rootfs(['inspect', '-q', 'oci:h'], { cwd: folder })).stdout, /^2 layers, /m);
});

test('a working directory that is gone is said', async () => {
  const gone = join(folder, 'gone');
  mkdirSync(gone);
  const line = `cd '${gone}' && rmdir '${gone}' && exec "$0" '${ROOTFS_BIN}' unpack --dst d oci:h`;
  const child = spawn('sh', ['-c', line, process.execPath], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(stderr, 'rootfs: working directory: it is there no more; change into another folder [ERR_FILESYSTEM]\n');
  assert.equal(code, 1);
});

test('understood, wherever the options stand', async () => {
  const plain = await rootfs(['digest', 'oci:h'], { cwd: folder });
  assert.match(plain.stdout, /^sha256:[0-9a-f]{64}\n$/);
  for (const line of UNDERSTOOD) {
    const { code, stdout, stderr } = await rootfs(line.split(' '), { cwd: folder });
    assert.equal(code, 0, `${line}: ${stderr}`);
    assert.equal(stdout, plain.stdout, line);
  }
});

test('a folder called false is one, however it is written', async (t) => {
  const cwd = tempDir(t);
  for (const words of [['--store', 'false'], ['--store=false']]) {
    const { code, stderr } = await rootfs(['unpack', '-q', ...words, '--dst', 'root', `oci:${join(folder, 'h')}`], {
      cwd,
    });
    assert.equal(code, 0, stderr);
    assert.ok(lstatSync(join(cwd, 'false', 'sha256')).isDirectory());
    rmSync(join(cwd, 'root'), { recursive: true });
    rmSync(join(cwd, 'false'), { recursive: true });
  }
});

test('help: as a word and as an option; its examples stand on lines of their own', async () => {
  const general = await rootfs(['help']);
  assert.equal(general.code, 0);
  assert.equal(general.stdout, (await rootfs(['--help'])).stdout);
  assert.match(general.stdout, /^ {2}-V, --version +Show the version/m);
  const bundle = await rootfs(['help', 'bundle']);
  assert.doesNotMatch(bundle.stdout, /--version/);
  assert.equal((await rootfs(['bundle', '-qh'])).stdout, bundle.stdout);
  assert.equal(bundle.stdout, (await rootfs(['bundle', '--help'])).stdout);
  assert.match(bundle.stdout, /^ {2}rootfs bundle --dst box alpine && runc run --bundle box box1\b/m);
});

test('an example of help is one line also on a narrow terminal', async () => {
  const preload = join(folder, 'narrow.cjs');
  writeFileSync(preload, 'process.stdout.columns = 40;');
  const { stdout } = await rootfs(['help', 'extract'], { env: { NODE_OPTIONS: `--require ${preload}` } });
  const lines = stdout.split('\n');
  assert.ok(lines.includes('  rootfs extract --dst layers --platform linux/arm64 alpine'), stdout);
  assert.ok(lines.includes('  # for another processor'), stdout);
  assert.ok(
    lines.every((line) => line.length <= 40 || /^ {2}(rootfs|#) /.test(line)),
    stdout,
  );
});

test('waits of a day too many are told by the name of their option', async () => {
  for (const [option, least] of [
    ['--timeout', '1ms'],
    ['--max-retry-after', '0ms'],
  ] as const) {
    const { code, stderr } = await rootfs(['digest', option, '25d', 'oci:h'], { cwd: folder });
    const said = `rootfs: ${option}: "25d" is no time to wait; give one from ${least} to 24d [ERR_OPTION_INVALID]\n`;
    assert.deepEqual([code, stderr], [2, said]);
  }
});

test('--retry says how large it may be', async () => {
  for (const value of ['-1', '1001']) {
    const { code, stderr } = await rootfs(['digest', '--retry', value, 'oci:h'], { cwd: folder });
    const said = `rootfs: --retry: ${value} cannot be used; give a whole number from 0 to 1000 [ERR_OPTION_INVALID]\n`;
    assert.deepEqual([code, stderr], [2, said]);
  }
});

test('a version that cannot be written is told as every other output', () => {
  const told = (words: string): string =>
    spawnSync('sh', ['-c', `"$@" ${words} > /dev/full`, 'sh', process.execPath, ROOTFS_BIN], { encoding: 'utf8' })
      .stderr;
  assert.match(told('--version'), /^rootfs: stdout: ENOSPC: .*; free some space .* \[ERR_NO_SPACE\]\n$/);
  const { error } = JSON.parse(told('--version --json')) as { error: { code: string } };
  assert.equal(error.code, 'ERR_NO_SPACE');
});

test('help and the version among options of output', async () => {
  const { stdout } = await rootfs(['--help']);
  for (const words of [
    ['help', '--json'],
    ['-q', 'help'],
    ['help', 'help'],
    ['help', '--progress', 'none'],
  ]) {
    const { code, stdout: shown } = await rootfs(words);
    assert.deepEqual([code, shown], [0, stdout], words.join(' '));
  }
  const version = (await rootfs(['--version'])).stdout.trim();
  for (const words of [
    ['--version', '--json'],
    ['--json', 'version'],
  ]) {
    assert.deepEqual(await rootfs(words), { code: 0, stdout: `${JSON.stringify(version)}\n`, stderr: '' });
  }
  for (const words of [
    ['--version', '-q'],
    ['--debug', '-V'],
    ['--progress', 'none', 'version'],
    ['--version', '--progress=json'],
  ]) {
    assert.deepEqual(await rootfs(words), { code: 0, stdout: `${version}\n`, stderr: '' }, words.join(' '));
  }
});

test('help needs no working directory', (t) => {
  const script = 'cd "$1" && rmdir "$1" && shift && exec "$@"';
  for (const words of [['help'], ['help', 'copy'], ['extract', '--help']]) {
    const line = ['-c', script, 'sh', join(tempDir(t), 'gone'), process.execPath, ROOTFS_BIN, ...words];
    mkdirSync(line[3] as string);
    const run = spawnSync('sh', line, { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^rootfs .*Examples:/s);
  }
});

test('stdout on a full device is no reason to move TMPDIR', async () => {
  const full = openSync('/dev/full', 'w');
  const pull = spawnSync(process.execPath, [ROOTFS_BIN, 'pull', '-q', '-o', '-', 'oci:h'], {
    cwd: folder,
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  assert.equal(pull.status, 1);
  assert.match(pull.stderr, /^rootfs: stdout: ENOSPC: .*; free some space or choose another folder \[ERR_NO_SPACE\]/);
});

test('--json --progress json: every line of stderr is JSON', async () => {
  const { code, stderr } = await rootfs(['validate', '--json', '--progress', 'json', 'oci:h'], { cwd: folder });
  assert.equal(code, 0, stderr);
  const types = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).type);
  assert.ok(types.includes('note:written'), stderr);
});

test('flatten -o: a device is written to, a link followed, a folder refused, and none of them replaced', async (t) => {
  const at = tempDir(t);
  const run = (output: string): ReturnType<typeof rootfs> =>
    rootfs(['flatten', '-q', '--no-store', '-o', output, `oci:${join(folder, 'h')}`], { cwd: at });
  // A link: were it replaced, the device would still be there for everybody else.
  symlinkSync('/dev/full', join(at, 'full'));
  const full = await run('full');
  assert.equal(full.code, 1);
  assert.match(full.stderr, /\[ERR_NO_SPACE\]/);
  assert.ok(lstatSync(join(at, 'full')).isSymbolicLink());

  writeFileSync(join(at, 'old.tar'), 'old');
  symlinkSync('old.tar', join(at, 'link.tar'));
  assert.equal((await run('link.tar')).code, 0);
  assert.ok(lstatSync(join(at, 'link.tar')).isSymbolicLink());
  assert.ok(readFileSync(join(at, 'old.tar')).length > 300_000);

  execFileSync('mkfifo', [join(at, 'fifo')]);
  const reader = spawn('cat', [join(at, 'fifo')], { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = once(reader, 'close');
  let bytes = 0;
  reader.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  assert.equal((await run('fifo')).code, 0);
  await closed;
  assert.equal(bytes, readFileSync(join(at, 'old.tar')).length);
  assert.ok(lstatSync(join(at, 'fifo')).isFIFO());

  mkdirSync(join(at, 'folder'));
  const refused = await run('folder');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /folder: a folder; name a file/);
  assert.equal((await run('nowhere/x.tar')).code, 3);
  for (const command of ['flatten', 'mkfs', 'pull']) {
    const below = await rootfs([command, '-q', '-o', 'old.tar/x.tar', `oci:${join(folder, 'h')}`], { cwd: at });
    assert.equal(below.code, 2, below.stderr);
    assert.match(below.stderr, /--output \S*old\.tar\/x\.tar: something above it is no folder; name another file/);
  }
});

/** Starts a command that waits for a password which never comes; `end()` is how it ends and what it said. */
async function startDeaf(...options: readonly string[]) {
  const words = ['login', ...options, '-u', 'ada', '--password-stdin', 'localhost'];
  const deaf = 'process.stdin[Symbol.asyncIterator]=()=>({next:()=>new Promise(()=>setInterval(()=>{},1e6))})';
  const imports = ['--import', `data:text/javascript,${deaf}`];
  const child = spawn(process.execPath, [...imports, ROOTFS_BIN, ...words], { stdio: ['pipe', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  await setTimeout(1500);
  return { child, end: async () => [...(await closed), stderr] as const };
}

test('a command that hears nothing is cut off within a second, and says so', async () => {
  const message = 'interrupted by SIGTERM; it did not end in time and was cut off';
  for (const json of [true, false]) {
    const { child, end } = await startDeaf(...(json ? ['--json'] : []));
    child.kill('SIGTERM');
    const [code, signal, stderr] = await end();
    assert.deepEqual([code, signal], [143, null]);
    const told = { code: 'ERR_INTERNAL', message, detail: { signal: 'SIGTERM' } };
    if (json) assert.deepEqual(JSON.parse(stderr), { error: told });
    else assert.equal(stderr, `rootfs: ${message}\n`);
  }
});

test('a signal that comes twice at once, as of timeout and npm, leaves the time to clean up; a later one does not', async () => {
  for (const [later, told] of [
    [30, 'rootfs: interrupted by SIGTERM; it did not end in time and was cut off\n'],
    [400, ''],
  ] as const) {
    const { child, end } = await startDeaf();
    child.kill('SIGTERM');
    await setTimeout(later);
    child.kill('SIGTERM');
    assert.deepEqual(await end(), [143, null, told]);
  }
});

test('Ctrl-C is heard while a pipe has no other end, or one that does not read', async (t) => {
  const fifo = join(tempDir(t), 'fifo.tar');
  execFileSync('mkfifo', [fifo]);
  /** How a command ends that is told to stop once it waits; 0.9 s later it would be cut off, or not even that. */
  const interrupted = async (line: string): Promise<void> => {
    const child = spawn(process.execPath, [ROOTFS_BIN, ...line.split(' '), '-q'], {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: '/dev/null/home', TMPDIR: process.env['TMPDIR'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.pause();
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const exited = once(child, 'exit');
    await setTimeout(1500);
    child.kill('SIGINT');
    const giveUp = AbortSignal.timeout(10_000);
    giveUp.addEventListener('abort', () => child.kill('SIGKILL'));
    const [code] = (await exited) as [number | null];
    child.stdout.destroy();
    assert.equal(code, 130, `${line}: ${stderr}`);
    // One that is cut off says so.
    const told = { code: 'ERR_INTERNAL', message: 'interrupted by SIGINT', detail: { signal: 'SIGINT' } };
    if (line.endsWith('--json')) assert.deepEqual(JSON.parse(stderr), { error: told }, line);
    else assert.equal(stderr, 'rootfs: interrupted by SIGINT\n', line);
  };
  const lines = [
    `flatten --no-store -o ${fifo} oci:h`,
    `pull -o ${fifo} oci:h`,
    `copy oci:h oci-archive:${fifo}`,
    `copy oci:h docker-archive:${fifo}`,
  ];
  const more = [`inspect oci-archive:${fifo}`, `inspect oci-archive:${fifo} --json`];
  for (const line of [...lines, ...more]) await interrupted(line);
  const reader = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  t.after(() => closeSync(reader));
  for (const line of lines) await interrupted(line);
  await interrupted('flatten --no-store oci:h');
});

/** Runs the command with stdout on `fd`. */
async function withStdout(
  stdout: number | 'pipe',
  ...words: string[]
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [ROOTFS_BIN, ...words], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: '/dev/null/home', TMPDIR: process.env['TMPDIR'] },
    stdio: ['ignore', stdout, 'pipe'],
  });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout?.once('data', () => child.stdout?.destroy());
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stderr };
}

const WRITERS: readonly (readonly string[])[] = [
  ['inspect', '-q', 'oci:h'],
  ['digest', '-q', 'oci:h'],
  ['flatten', '-q', '--no-store', 'oci:h'],
  ['--help'],
  ['completion', 'bash'],
];

test('stdout that is full: one line, no stack', async () => {
  const fd = openSync('/dev/full', 'w');
  for (const words of WRITERS) {
    const { code, stderr } = await withStdout(fd, ...words);
    assert.equal(code, 1, words.join(' '));
    assert.match(stderr, /^rootfs: stdout: [^\n]*no space left[^\n]*\[ERR_NO_SPACE\]\n$/, words.join(' '));
  }
});

test('notes that stderr cannot take are no failure', {
  skip: existsSync('/dev/full') ? false : 'no /dev/full',
}, (t) => {
  const place = tempDir(t);
  const words = ['flatten', '--no-store', 'oci:h', '-o', join(place, 'h.tar')];
  const line = [process.execPath, ROOTFS_BIN, ...words].map((word) => `'${word}'`).join(' ');
  for (const stderr of ['2>/dev/full', '2>&-']) {
    const run = spawnSync('sh', ['-c', `${line} ${stderr}`], { cwd: folder, encoding: 'utf8' });
    assert.equal(run.status, 0, stderr);
    assert.deepEqual(readdirSync(place), ['h.tar']);
    rmSync(join(place, 'h.tar'));
  }
});

test('a reader that goes away ends flatten quietly', async () => {
  const { code, stderr } = await withStdout('pipe', 'flatten', '-q', '--no-store', 'oci:h');
  assert.equal(code, 141, stderr);
  assert.equal(stderr, '');
});

test('a destination that is taken is refused before a registry is asked', async (t) => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', built);
  const at = tempDir(t);
  mkdirSync(join(at, 'full/inner'), { recursive: true });
  writeFileSync(join(at, 'file'), '');
  for (const command of ['unpack', 'bundle']) {
    for (const [dst, found] of [
      ['full', /not empty/],
      ['file', /something that is no folder/],
      ['file/under', /something that is no folder/],
      ['nowhere/under', /no folder .*nowhere to make it in/],
    ] as const) {
      const { code, stderr } = await rootfs([command, '--dst', dst, `${registry.host}/app`], { cwd: at });
      assert.equal(code, 2, stderr);
      assert.match(stderr, found);
    }
  }
  for (const command of ['flatten', 'mkfs', 'pull']) {
    const { code, stderr } = await rootfs([command, '-o', 'nowhere/x.tar', `${registry.host}/app`], { cwd: at });
    assert.equal(code, 3, stderr);
    assert.match(stderr, /--output .*nowhere\/x\.tar: there is no folder .*nowhere to make it in; make that first/);
  }
  assert.deepEqual(registry.log.requests, []);
});

test('a repository to mount from may be named with its registry', async () => {
  await using registry = await startRegistry();
  registry.add('org/app', 'latest', built);
  for (const [at, name] of ['org/app', `${registry.host}/org/app`].entries()) {
    const words = ['copy', '--mount-from', name, 'oci:h', `${registry.host}/to${at}`];
    const { code, stderr } = await rootfs(words, { cwd: folder });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /0 blobs copied \(0 B\), \d mounted/);
  }
});

test('advice about plain http between two registries names the side', async () => {
  await using plain = await startRegistry();
  await using secure = await startRegistry({ tls: 'self-signed' });
  for (const registry of [plain, secure]) registry.add('app', 'latest', built);
  const [at, tls] = [`${plain.host}/app`, `${secure.host}/app`];
  for (const [words, advice] of [
    [['--plain-http=false', '--tls-verify=false', tls, at], 'use --dest-plain-http ['],
    [['--plain-http=false', '--tls-verify=false', at, tls], 'use --src-plain-http ['],
    [['--plain-http', tls, at], 'use --src-plain-http=false ['],
    [['--plain-http', 'oci:h', tls], 'use --plain-http=false ['],
  ] as const) {
    const { code, stderr } = await rootfs(['copy', '-q', ...words], { cwd: folder });
    assert.equal(code, 6, stderr);
    assert.ok(stderr.includes(advice), stderr);
  }
});

test('an auth file where no folder can be made is an error, and the end', { timeout: 20_000 }, async (t) => {
  if (process.platform !== 'linux') return t.skip('only Linux has /proc');
  await using registry = await startRegistry();
  let child: { kill(signal: 'SIGKILL'): boolean } | undefined;
  t.after(() => child?.kill('SIGKILL'));
  const words = ['login', '--creds', 'me:secret', '--authfile', '/proc/rootfs-kit/new/auth.json', registry.host];
  const { code, stderr } = await rootfs(words, { started: (one) => (child = one) });
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /^rootfs: \/proc\/rootfs-kit\/new\/auth\.json: .*mkdir '\/proc\/rootfs-kit'; see to that path, or/m,
  );
});

test('a folder that may not be written is told before a registry is asked', async (t) => {
  await using registry = await startRegistry();
  registry.add('app', 'latest', built);
  const at = tempDir(t);
  chmodSync(at, 0o755);
  mkdirSync(join(at, 'shut'), { mode: 0o555 });
  const somebody =
    process.getuid?.() === 0 ? ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] : [];
  for (const words of ['unpack --dst shut/x', 'bundle --dst shut/x', 'flatten -o shut/x', 'mkfs -o shut/x']) {
    const [file = '', ...line] = [...somebody, process.execPath, ROOTFS_BIN, ...words.split(' ')];
    const { code, stderr } = await run(file, [...line, `${registry.host}/app`], { cwd: at });
    assert.equal(code, 1, stderr);
    assert.match(
      stderr,
      /^rootfs: --(dst|output) .*shut\/x: EACCES: .*; ask for access, or choose another place \[ERR_PERM/,
    );
  }
  assert.deepEqual(registry.log.requests, []);
  mkdirSync(join(at, 'closed'), { mode: 0o700 });
  const cache = [...somebody, process.execPath, ROOTFS_BIN, 'cache', 'ls', '--store', 'closed/store'];
  if (somebody.length === 0) chmodSync(join(at, 'closed'), 0);
  const { code, stderr } = await run(cache[0] ?? '', cache.slice(1), { cwd: at });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^rootfs: --store .*closed\/store: EACCES/);
});

test('an image of a registry is named in full', async () => {
  await using registry = await startRegistry();
  registry.add('org/app', 'v1', built);
  const name = `${registry.host}/org/app:v1`;
  const { code, stderr } = await rootfs(['inspect', '--platform', 'plan9/mips', name]);
  assert.equal(code, 3);
  for (const line of stderr.trimEnd().split('\n')) assert.ok(line.startsWith(`rootfs: ${name}`), line);
});

test('two commands that make the same folder at once both go well', async (t) => {
  for (let round = 0; round < 3; round += 1) {
    const dst = join(tempDir(t), 'deep/dst');
    const both = await Promise.all([1, 2].map(() => rootfs(['extract', '-q', '--dst', dst, 'oci:h'], { cwd: folder })));
    for (const { code, stderr } of both) assert.equal(code, 0, stderr);
    assert.equal(both[0]?.stdout, both[1]?.stdout);
  }
});

test('what an image says is not obeyed by a terminal', async () => {
  const evil = image()
    .layer((layer) => layer.file('a', 'x'))
    .configFields({
      author: '\u001b[31m\u202ered',
      config: { Labels: { 'k\u009b': 'v\u0007\nName  other\u2028Name  third' } },
    })
    .build();
  const layout = join(folder, 'evil');
  await writeLayout(layout, { latest: evil });
  const { code, stdout, stderr } = await rootfs(['inspect', 'oci:evil:\u001b[2J'], { cwd: folder });
  assert.equal(code, 3);
  assert.doesNotMatch(stdout + stderr, /[^\P{Cc}\n]|[\u2028-\u202e]/u);
  const shown = await rootfs(['inspect', 'oci:evil'], { cwd: folder });
  assert.equal(shown.code, 0);
  assert.match(shown.stdout, /Author {2,}\S+red/);
  assert.doesNotMatch(shown.stdout + shown.stderr, /[^\P{Cc}\n]|[\u2028-\u202e]/u);
  const json = await rootfs(['inspect', '--json', 'oci:evil'], { cwd: folder });
  assert.doesNotMatch(json.stdout, /[^\P{Cc}\n]|[\u2028-\u202e]/u);
  assert.match(JSON.stringify(JSON.parse(json.stdout)), /\u009b.*\u202ered|\u202ered.*\u009b/s);
});

test('a home that cannot be written: the way out is named', async (t) => {
  const file = join(tempDir(t), 'home');
  writeFileSync(file, '');
  const { code, stderr } = await rootfs(['unpack', '-q', '--dst', 'd', 'oci:h'], { cwd: folder, env: { HOME: file } });
  assert.equal(code, 1);
  assert.match(stderr, /layer store .*--store.*--no-store/);
  assert.ok(!existsSync(join(folder, 'd')));
  // What needs the layers later takes no --no-store.
  for (const words of ['overlay --rw r oci:h', 'mkfs --layers-as-devices -o f oci:h', 'mount oci:h m']) {
    const later = await rootfs(words.split(' '), { cwd: folder, env: { HOME: file } });
    assert.equal(later.code, 1, words);
    assert.doesNotMatch(later.stderr, /--no-store/, words);
    // Who may not mount is told that first.
    if (!words.startsWith('mount')) assert.match(later.stderr, /layer store .*; name another with --store \[ERR_/);
  }
  const cached = await rootfs(['digest', '--cache', '127.0.0.1:1/app'], { cwd: folder, env: { HOME: file } });
  assert.equal(cached.code, 1);
  assert.match(cached.stderr, /^rootfs: image cache \/.*; set XDG_CACHE_HOME to .*, or leave out --cache \[ERR_/);
});

test('words that are no UTF-8 are refused, since something of another name would be made', {
  skip: process.platform === 'linux' ? false : 'needs /proc',
}, (t) => {
  const place = tempDir(t);
  const make = (name: string): { status: number | null; stderr: string } =>
    spawnSync(
      'sh',
      ['-c', `"$0" "$1" extract -q --dst "$(printf '${name}')" oci:${folder}/h`, process.execPath, ROOTFS_BIN],
      {
        cwd: place,
        encoding: 'utf8',
      },
    );
  const { status, stderr } = make('a\\377b');
  assert.equal(status, 2, stderr);
  assert.match(stderr, /expected text in UTF-8, found other bytes.*\[ERR_OPTION_INVALID\]/);
  assert.deepEqual(readdirSync(place), []);
  const meant = make('a\\357\\277\\275b');
  assert.equal(meant.status, 0, meant.stderr);
  assert.deepEqual(readdirSync(place), ['a\uFFFDb'], 'the character itself is a name like others');
});
