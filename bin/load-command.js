'use strict';
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');

const file = join(__dirname, '../dist/command/main.cjs');

/** Code that this very Node compiled when the command was built lies beside it; any other Node compiles for itself. */
const compiled = join(__dirname, `../dist/command/main-${process.version}-${process.arch}.code`);

/**
 * Loads the command, with the code that was compiled for it at build time where there is some: reading a script takes
 * longer than most commands. V8 checks that it is of the same version, the same flags and the same script, and is not
 * used otherwise. It lies among the files of the program and is trusted as they are.
 */
function loadScript() {
  // A function around it gives the script what Node's own loader gives a module. ASCII only: see build/command.mjs.
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'latin1')}\n})`;
  let cachedData;
  try {
    cachedData = readFileSync(compiled);
  } catch {
    // Nothing was compiled for this Node.
  }
  return new Script(source, { filename: file, cachedData });
}

/** The newest Node whose V8 was seen to know the flags below; one that does not would say so on stderr. */
const NEWEST_NODE = 26;

/** What suits a command that runs for seconds, and was measured with it. */
function tuneEngine() {
  if (Number.parseInt(process.versions.node, 10) > NEWEST_NODE) return;
  // Chunks from a socket are memory outside of the heap; V8 answers them by marking the small heap over and over in
  // threads beside, for a tenth of all processor time. Without that they are freed when young, as everything else here.
  setFlagsFromString('--no-incremental-marking');
  // The parser of HTTP is WebAssembly. Optimising it takes a thread 100 to 200 ms, longer than it runs in most commands.
  setFlagsFromString('--liftoff-only');
  // A tree of many thousand paths is made of objects that all stay: while the space for new ones grows by doubling, they
  // are copied again and again. In one step it saves a sixth of the time of a mount.
  setFlagsFromString('--semi-space-growth-factor=16');
  // Optimised code is made in threads beside the work. With a third of the usual inlining it takes a third less of their
  // time, and runs as fast: a mount of 17,000 paths takes a tenth less, one of 200,000 not more.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=300');
}

/**
 * Loads the command: `main(argv)` runs it. `isCompiled` says whether the code of an earlier compilation was taken;
 * `keepCode()` writes what is compiled so far for the runs that follow: the build calls it.
 */
exports.loadCommand = () => {
  tuneEngine();
  const script = loadScript();
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module, file, join(__dirname, '../dist/command'));
  return {
    main: module.exports.main,
    isCompiled: script.cachedDataRejected === false,
    keepCode() {
      const temporary = `${compiled}.${process.pid}`;
      writeFileSync(temporary, script.createCachedData());
      renameSync(temporary, compiled);
    },
  };
};
