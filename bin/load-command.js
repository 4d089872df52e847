'use strict';
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { Script } = require('node:vm');
const tuning = require('./tune-engine.js');

const file = join(__dirname, '../dist/command/main.cjs');

/** Code that this very Node compiled when the command was built lies beside it; any other Node compiles for itself. */
const compiled = join(__dirname, `../dist/command/main-${process.version}-${process.arch}.code`);

/**
 * Loads the command, with the code that was compiled for it at build time where there is some: reading a script takes
 * longer than most commands. V8 checks that it is of the same version, the same flags and the same script, and is not
 * used otherwise. It lies among the files of the program and is trusted as they are.
 */
function loadScript() {
  // A function that takes what Node's own loader gives a module, of ASCII only: see build/command.mjs.
  const source = readFileSync(file, 'latin1');
  let cachedData;
  try {
    cachedData = readFileSync(compiled);
  } catch {
    // Nothing was compiled for this Node.
  }
  return new Script(source, { filename: file, cachedData });
}

/** When the engine is tuned at the latest, in milliseconds: by then a command has loaded what it starts with. */
const TUNE_AFTER_MS = 40;

/**
 * Loads the command: `main(argv)` runs it. `isCompiled` says whether the code of an earlier compilation was taken;
 * `keepCode()` writes what is compiled so far for the runs that follow: the build calls it.
 */
exports.loadCommand = () => {
  const script = loadScript();
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, join(__dirname, '../dist/command'));
  return {
    main(argv) {
      setTimeout(() => tuning.tuneEngine(), TUNE_AFTER_MS).unref();
      return module.exports.main(argv);
    },
    isCompiled: script.cachedDataRejected === false,
    keepCode() {
      const temporary = `${compiled}.${process.pid}`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, compiled);
    },
  };
};
