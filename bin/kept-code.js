'use strict';
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { userInfo } = require('node:os');
const { dirname, isAbsolute, join } = require('node:path');
const { cachedDataVersionTag } = require('node:v8');

/** What is not one of ours, in bytes: the whole command compiled is a tenth of it. */
const MAX_CODE_BYTES = 32 * 1024 * 1024;

const DAY_MS = 24 * 60 * 60 * 1000;

/** How long code is kept that nobody runs, in milliseconds: of another command, or another version of it or of Node. */
const UNUSED_MS = 30 * DAY_MS;

/** What follows the code: its digest, and the kinds of command lines that it was compiled for. */
const TRAILER = /^([0-9a-f]{64}) ([a-z.-]+(?:,[a-z.-]+)*)$/;

/** What lies in the folder of the code and is ours: a version's code, or one that a run was cut off writing. */
const OWN_FILE = /^[0-9a-f]{16}-\d+(?:-[a-z]+)?\.code(?:\.\d+)?$/;

/**
 * The folders down to the one of the code, the topmost first; as `cacheFolder` says, which is not loaded yet. Node's
 * `homedir()` believes an empty HOME, and the folder would be whichever one works in.
 */
function folders() {
  const set = process.env.XDG_CACHE_HOME;
  const base = set !== undefined && isAbsolute(set) ? set : join(process.env.HOME || userInfo().homedir, '.cache');
  return [base, join(base, 'rootfs-kit'), join(base, 'rootfs-kit', 'code-v1')];
}

/**
 * Whether only this user and root can change what lies at a path, or put something else there. V8 runs such code as it
 * is, and under `sudo` the home folder may still be an ordinary user's.
 */
function isOwn(path) {
  return [path, fs.realpathSync(path)].every((whole) => {
    for (let at = whole; ; at = dirname(at)) {
      if (!isOwnEntry(fs.lstatSync(at))) return false;
      if (at === dirname(at)) return true;
    }
  });
}

/** Folders like /tmp are everybody's, and what lies in them is its owner's; links have no mode of their own. */
function isOwnEntry(stat) {
  const isShared = (stat.mode & 0o022) !== 0 && !(stat.isDirectory() && (stat.mode & 0o1000) !== 0);
  return (stat.uid === 0 || stat.uid === process.geteuid()) && (stat.isSymbolicLink() || !isShared);
}

function digest(code) {
  return createHash('sha256').update(code).digest('hex');
}

function read(file) {
  if (!isOwn(file)) return undefined;
  const { size, mtimeMs } = fs.lstatSync(file);
  if (!(size <= MAX_CODE_BYTES)) return undefined;
  const content = fs.readFileSync(file);
  const end = content.lastIndexOf('\n');
  const [, expected, kinds] = TRAILER.exec(content.latin1Slice(end + 1)) ?? [];
  const code = content.subarray(0, Math.max(0, end));
  // V8 does not look at the bytes: wrong ones end the process.
  if (expected === undefined || digest(code) !== expected) return undefined;
  // What is run stays, however long ago it was written.
  if (Date.now() - mtimeMs > DAY_MS) quietly(() => fs.utimesSync(file, new Date(), new Date()));
  return { code, kinds: kinds.split(',') };
}

function write(file, compile, kinds) {
  for (const folder of folders()) {
    try {
      fs.mkdirSync(folder, 0o700);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
  const folder = dirname(file);
  if (!isOwn(folder)) return;
  for (const name of fs.readdirSync(folder).filter((one) => OWN_FILE.test(one))) {
    if (Date.now() - fs.lstatSync(join(folder, name)).mtimeMs > UNUSED_MS) fs.rmSync(join(folder, name));
  }
  // Only now: it takes longer than all of this.
  const code = compile();
  const temporary = `${file}.${process.pid}`;
  try {
    fs.writeFileSync(temporary, Buffer.concat([code, Buffer.from(`\n${digest(code)} ${kinds.join(',')}`)]), {
      flag: 'wx',
      mode: 0o600,
    });
    fs.renameSync(temporary, file);
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/**
 * The code that V8 compiled for this user in earlier runs: an installed package comes with none, and compiling takes
 * longer than most commands do. In `$XDG_CACHE_HOME/rootfs-kit/code-v1`, a file for each command of each version of the
 * program and of V8 with its flags. Nothing is kept where Node is told to keep none.
 *
 * @param id Names this version of the program: all of its text stands for it.
 * @param name Of the command, in letters.
 * @returns the `code` that is kept, where there is some. `add(kindOf, compile)`, after a run that ended well, keeps what
 * `compile()` returns, unless that was done for a run of the kind that `kindOf()` tells.
 */
exports.openKeptCode = (id, name) => {
  if (process.geteuid === undefined || process.env.NODE_DISABLE_COMPILE_CACHE) return undefined;
  // Taken before the engine is tuned: it counts all flags.
  const tag = cachedDataVersionTag();
  const file = quietly(() => join(folders().at(-1), `${id}-${tag}-${name}.code`));
  if (file === undefined) return undefined;
  const { code, kinds } = quietly(() => read(file)) ?? { kinds: [] };
  return {
    code,
    add(kindOf, compile) {
      quietly(() => {
        const kind = kindOf();
        if (!kinds.includes(kind)) write(file, compile, [...kinds, kind]);
      });
    },
  };
};

/** Nothing fails where no code can be kept. */
function quietly(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
