'use strict';
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');
const tuning = require('./tune-engine.js');

const folder = join(__dirname, '../dist/command');
const file = join(folder, 'main.cjs');

/**
 * Code that this very Node compiled when the command was built lies beside it; an installed package has none. There is a
 * file for each of the commands that people run most, and `main` with the code of all these for the others: V8 makes
 * objects of all that it is given, whether a run uses it or not.
 */
const builtCode = (name) => join(folder, `${name}-${process.version}-${process.arch}.code`);

/** When the engine is tuned at the latest, in milliseconds: by then a command has loaded what it starts with. */
const TUNE_AFTER_MS = 40;

/** The code that was compiled at build time. It lies among the files of the program and is trusted as they are. */
function readBuilt(command) {
  for (const name of [command, 'main']) {
    try {
      return readFileSync(builtCode(name));
    } catch {
      // Nothing was compiled for this command, or for this Node.
    }
  }
  return undefined;
}

/**
 * Loads the command, with code that was compiled at build time or in earlier runs where there is some: reading a script
 * takes longer than most commands. V8 checks that it is of the same version, the same flags and as long a script, and is
 * not used otherwise.
 *
 * `main(argv)` runs it. `isCompiled` says whether compiled code was taken; `keepCode(name)` writes what is compiled so
 * far beside the program: the build calls it.
 */
exports.loadCommand = (argv) => {
  // A function that takes what Node's own loader gives a module, of ASCII only: see build/command.mjs. Before it stands
  // what the script is, a digest of its text, and the names of its commands.
  const source = readFileSync(file, 'latin1');
  const [id, ...names] = source.slice(2, source.indexOf('*/')).split(' ');
  // The value of an option may be called as a command: then the code is another command's, and serves less.
  const name = argv.find((word) => names.includes(word)) ?? 'help';
  const built = readBuilt(name);
  const kept = built === undefined ? require('./kept-code.js').openKeptCode(id, name) : undefined;
  const script = new Script(source, { filename: file, cachedData: built ?? kept?.code });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, folder);
  const { main, lineKind } = module.exports;
  return {
    async main(argv) {
      setTimeout(() => tuning.tuneEngine(), TUNE_AFTER_MS).unref();
      const code = await main(argv);
      if (code === 0 && script.cachedDataRejected !== true) {
        kept?.add(
          () => lineKind(argv),
          () => tuning.untuned(() => script.createCachedData()),
        );
      }
      return code;
    },
    isCompiled: script.cachedDataRejected === false,
    keepCode(part) {
      const temporary = `${builtCode(part)}.${process.pid}`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, builtCode(part));
    },
  };
};
