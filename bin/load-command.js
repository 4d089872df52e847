'use strict';
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');
const tuning = require('./tune-engine.js');

const file = join(__dirname, '../dist/command/main.cjs');

/** Code that this very Node compiled when the command was built lies beside it; an installed package has none. */
const compiled = join(__dirname, `../dist/command/main-${process.version}-${process.arch}.code`);

/** Where the script, after its first characters, says what it is: a digest of its text. */
const ID = [2, 18];

/** When the engine is tuned at the latest, in milliseconds: by then a command has loaded what it starts with. */
const TUNE_AFTER_MS = 40;

/** The code that was compiled at build time. It lies among the files of the program and is trusted as they are. */
function readBuilt() {
  try {
    return readFileSync(compiled);
  } catch {
    // Nothing was compiled for this Node.
    return undefined;
  }
}

/**
 * Loads the command, with code that was compiled at build time or in earlier runs where there is some: reading a script
 * takes longer than most commands. V8 checks that it is of the same version, the same flags and as long a script, and is
 * not used otherwise.
 *
 * `main(argv)` runs it. `isCompiled` says whether compiled code was taken; `keepCode()` writes what is compiled so far
 * beside the program: the build calls it.
 */
exports.loadCommand = () => {
  // A function that takes what Node's own loader gives a module, of ASCII only: see build/command.mjs.
  const source = readFileSync(file, 'latin1');
  const built = readBuilt();
  const kept = built === undefined ? require('./kept-code.js').openKeptCode(source.slice(...ID)) : undefined;
  const script = new Script(source, { filename: file, cachedData: built ?? kept?.code });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, join(__dirname, '../dist/command'));
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
    keepCode() {
      const temporary = `${compiled}.${process.pid}`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, compiled);
    },
  };
};
