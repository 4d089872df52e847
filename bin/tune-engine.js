'use strict';
const NODE = Number.parseInt(process.versions.node, 10);

/** The newest Node whose V8 was seen to know the flags below; one that does not would say so on stderr. */
const NEWEST_NODE = 26;

/** What suits a command that runs for seconds, each flag with its default, and was measured with it. */
const FLAGS = [
  // Chunks from a socket are memory outside of the heap; V8 answers them by marking the small heap over and over in
  // threads beside, for a tenth of all processor time. Without that they are freed when young, as everything else here.
  ['--no-incremental-marking', '--incremental-marking'],
  // A tree of many thousand paths is made of objects that all stay: while the space for new ones grows by doubling, they
  // are copied again and again. In one step it saves a sixth of the time of a mount.
  ['--semi-space-growth-factor=16', '--semi-space-growth-factor=2'],
  // Optimised code is made in threads beside the work. With a third of the usual inlining it takes a third less of their
  // time, and runs as fast: a mount of 17,000 paths takes a tenth less, one of 200,000 not more.
  ['--max-inlined-bytecode-size-cumulative=300', '--max-inlined-bytecode-size-cumulative=920'],
];

/** How much WebAssembly may run before it is optimised: never, in a command, and what V8 starts with. */
const WASM_BUDGET = ['--wasm-tiering-budget=2000000000', `--wasm-tiering-budget=${NODE < 22 ? 1_800_000 : 13_000_000}`];

const isKnown = NODE <= NEWEST_NODE;
let isTuned = false;
let startingWorkers = 0;

/** Sets one. Node's module is loaded then: it takes 3 ms, and a short command has ended before it is needed. */
function setFlag(flag) {
  require('node:v8').setFlagsFromString(flag);
}

/** Sets the flags, with 0, or puts their defaults back, with 1. */
function setFlags(value) {
  if (isKnown) for (const flag of FLAGS) setFlag(flag[value]);
}

/**
 * Sets the flags; once, however often it is called.
 *
 * Not as the first thing: with any flag other than its default, V8 refuses the compiled code that Node brings for its own
 * modules and what the build keeps of the command. The modules that a command starts with load in 6 ms before, and in
 * 20 ms after; a worker starts in 25 ms before, and in 55 ms after: while one starts, the defaults are back.
 */
exports.tuneEngine = () => {
  if (isTuned) return;
  isTuned = true;
  if (startingWorkers === 0) setFlags(0);
};

/** Does something under the flags that the engine began with. */
exports.untuned = (action) => {
  const isTunedNow = isTuned && startingWorkers === 0;
  if (isTunedNow) setFlags(1);
  try {
    return action();
  } finally {
    if (isTunedNow) setFlags(0);
  }
};

/**
 * Starts a worker. The flags have their defaults before its thread begins: V8 ends the process where they change while
 * a thread makes its heap.
 */
exports.startWorker = (start) => {
  startingWorkers += 1;
  if (isTuned) setFlags(1);
  let isStarting = true;
  const started = () => {
    if (!isStarting) return;
    isStarting = false;
    startingWorkers -= 1;
    if (isTuned && startingWorkers === 0) setFlags(0);
  };
  try {
    return start().once('online', started).once('exit', started);
  } catch (error) {
    started();
    throw error;
  }
};

/**
 * Compiles the parser of HTTP, which is WebAssembly. Optimising it takes a thread 100 to 200 ms, longer than it runs in
 * most commands: it keeps the code that it gets at first. V8 looks at the flag here only.
 *
 * @returns a `WebAssembly.Module`
 */
exports.compileParser = (bytes) => {
  if (!isKnown) return new WebAssembly.Module(bytes);
  setFlag(WASM_BUDGET[0]);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    setFlag(WASM_BUDGET[1]);
  }
};
