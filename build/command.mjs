/**
 * Bundles the command, its workers and the packages they use into `dist/command`: finding and reading some hundred
 * modules one by one takes longer than most commands. koffi is native and stays outside. The licences of what is
 * inside go beside it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { COMMANDS } from '../dist/src/cli/commands.js';

const repository = fileURLToPath(new URL('../', import.meta.url));
const out = join(repository, 'dist/command');
const compiled = join(repository, 'dist/src');

/** What the parser of HTTP has in its place, and what it gets instead. */
const PARSER_CHANGES = [
  // The engine is told how to compile it.
  ['new WebAssembly.Module(', "require('./tune-engine.js').compileParser("],
  // It gets a copy of all that a socket brings. Inside of a body whose length is known it counts and looks at nothing: a
  // copy is a twentieth of the processor time of a download. It refuses two lengths, and one in trailers.
  [
    'new Uint8Array(llhttp.memory.buffer, currentBufferPtr, currentBufferSize).set(chunk)',
    `if (this.bytesRead === 0 || !(chunk.length <= this.contentLength - this.bytesRead)) {
      new Uint8Array(llhttp.memory.buffer, currentBufferPtr, currentBufferSize).set(chunk)
    }`,
  ],
];

/**
 * The whole of undici brings fetch, web sockets and caches, and makes Node load its own copy of them: twice the time
 * of the parts that connections are made of. Its version is pinned, and a file that moved fails the build.
 */
const dispatchersOnly = {
  name: 'undici-dispatchers',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'dispatchers' }));
    onLoad({ filter: /.*/, namespace: 'dispatchers' }, () => ({
      contents: [
        'Agent dispatcher/agent',
        'Pool dispatcher/pool',
        'ProxyAgent dispatcher/proxy-agent',
        'buildConnector core/connect',
      ]
        .map((entry) => entry.split(' '))
        .map(([name, file]) => `export { default as ${name} } from './node_modules/undici/lib/${file}.js';`)
        // As the whole of undici does it: tunnels through proxies are asked for by this method.
        .concat(
          "import Dispatcher from './node_modules/undici/lib/dispatcher/dispatcher.js';",
          "import connect from './node_modules/undici/lib/api/api-connect.js';",
          'Dispatcher.prototype.connect = connect;',
          "import 'tune-engine';",
        )
        .join('\n'),
      resolveDir: repository,
    }));
    // The engine is tuned once these modules are loaded. The file lies in `bin`.
    onResolve({ filter: /^tune-engine$/ }, () => ({ path: 'tune-engine', namespace: 'tuning' }));
    onLoad({ filter: /.*/, namespace: 'tuning' }, () => ({ contents: "require('./tune-engine.js').tuneEngine();" }));
    onResolve({ filter: /^\.\/tune-engine\.js$/ }, ({ path }) => ({ path, external: true }));
    // Node's own makes pictures of differences, for which it loads half a dozen modules.
    onResolve({ filter: /^node:assert$/ }, ({ importer }) =>
      /\/undici\/lib\//.test(importer) ? { path: 'assert', namespace: 'plain-assert' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'plain-assert' }, () => ({
      contents: `module.exports = (value, message = 'undici: a condition does not hold') => {
        if (!value) throw Object.assign(new Error(message), { code: 'ERR_ASSERTION' });
      };`,
    }));
    // Asked for its limit of headers, which is given here, and for a class that no body here is of.
    onResolve({ filter: /^node:http$/ }, ({ importer }) =>
      /\/undici\/lib\//.test(importer) ? { path: 'http', namespace: 'no-http' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'no-http' }, () => ({
      contents: 'exports.maxHeaderSize = 16384; exports.IncomingMessage = class {};',
    }));
    onLoad({ filter: /\/undici\/lib\/dispatcher\/client-h1\.js$/ }, ({ path }) => ({
      contents: PARSER_CHANGES.reduce((source, [old, text]) => {
        if (!source.includes(old)) throw new Error(`${path}: it has no ${old}`);
        return source.replaceAll(old, text);
      }, read(path)),
    }));
    // HTTP/2 is never negotiated, and Node's own part of it is large.
    onLoad({ filter: /\/undici\/lib\/dispatcher\/client-h2\.js$/ }, () => ({
      contents: 'module.exports = undefined;',
    }));
  },
};

/**
 * The command line imports the public index alone, which reaches every module there is. In the bundle each name is
 * imported from the module that it comes from, so that a command loads what it uses.
 */
const namesWhereTheyAre = {
  name: 'names-where-they-are',
  setup({ onLoad }) {
    const homes = new Map();
    for (const [, names, from] of read(join(compiled, 'index.js')).matchAll(/export \{([^}]*)\} from '(.+)';/g)) {
      for (const [original, name = original] of splitNames(names)) homes.set(name, { original, from });
    }
    onLoad({ filter: /\/dist\/src\/cli\/.*\.js$/ }, ({ path }) => ({
      contents: read(path).replace(/import \{([^}]*)\} from '((?:\.\.\/)+)index\.js';/g, (_, names, up) =>
        splitNames(names)
          .map(([name, local = name]) => {
            const home = homes.get(name);
            if (home === undefined) throw new Error(`${path}: src/index.ts does not export ${name} by its name`);
            return `import { ${home.original} as ${local} } from '${up}${home.from.slice(2)}';`;
          })
          .join(' '),
      ),
    }));
  },
};

/** Modules of Node that most commands import and few use; each takes a millisecond or two to load. */
const ASLEEP = /^node:(?:fs\/promises|module|os|worker_threads|zlib)$/;

/**
 * Loads these when something of them is used, under the flags that the engine began with: with others it compiles them
 * anew. What one Node has and another has not (`import * as zlib`) is asked of Node's own module.
 */
const modulesAsleep = {
  name: 'modules-asleep',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: ASLEEP }, ({ path, importer }) =>
      /\/dist\/src\/.*\.js$/.test(importer) && !read(importer).includes(`import * as zlib from '${path}'`)
        ? { path, namespace: 'asleep' }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'asleep' }, async ({ path }) => ({
      contents: `let loaded;
        const load = () => (loaded ??= require('./tune-engine.js').untuned(() => require('${path}')));
        for (const name of ${JSON.stringify(Object.keys(await import(path)))}) {
          Object.defineProperty(exports, name, { enumerable: true, get: () => load()[name] });
        }`,
    }));
  },
};

/** Workers are started while the engine is as they want it. */
const tunedWorkers = {
  name: 'tuned-workers',
  setup({ onLoad }) {
    const start = 'new Worker(entry, { name, execArgv: [], resourceLimits })';
    onLoad({ filter: /\/dist\/src\/io\/start-worker\.js$/ }, ({ path }) => {
      const source = read(path);
      if (!source.includes(start)) throw new Error(`${path}: it has no ${start}`);
      return { contents: source.replace(start, `require('./tune-engine.js').startWorker(() => ${start})`) };
    });
  },
};

/** Files that the code finds beside itself lie elsewhere in the bundle: the workers, and the package's own manifest. */
const filesBeside = {
  name: 'files-beside',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/src\/(?:io|export|layer|registry)\/.*\.js$/ }, ({ path }) => ({
      contents: read(path)
        .replace(/'([\w-]+-worker)\.js', import\.meta\.url/g, "'$1.cjs', import.meta.url")
        .replace("(import.meta.url)('rootfs-kit/package.json')", "(import.meta.url)('../../package.json')"),
    }));
  },
};

/**
 * Widths of text on a terminal: the command prints ASCII, so that a character is a column. The package makes a text
 * segmenter for emoji when it is loaded, which takes longer than reading the command line. yargs imports it and
 * cli-progress, made for an older one, requires it: a function that is the whole module serves both.
 */
const plainWidths = {
  name: 'plain-widths',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^string-width$/ }, () => ({ path: 'string-width', namespace: 'widths' }));
    onLoad({ filter: /.*/, namespace: 'widths' }, () => ({
      contents: "module.exports = (text) => String(text).replace(/\\x1b\\[[\\d;]*m/g, '').length;",
    }));
  },
};

function read(path) {
  return readFileSync(path, 'utf8');
}

/** `a, b as c` as `[['a'], ['b', 'c']]`. */
function splitNames(names) {
  return names
    .split(',')
    .map((name) => name.trim().split(/ as /))
    .filter(([name]) => name !== '');
}

// A worker is what some module starts from a file beside itself.
const modules = readdirSync(compiled, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'));
const workers = modules.flatMap((file) =>
  [...read(join(compiled, file)).matchAll(/workerEntry\('([\w-]+-worker\.js)'/g)].map(([, name]) =>
    join(dirname(file), name),
  ),
);
rmSync(out, { recursive: true, force: true });
const inputs = new Set();
// Each entry is one file that holds all it may need: finding many small ones takes longer than reading one large one.
// What a command does not use stays asleep in it: modules behind `import()` run when they are asked for.
for (const entry of ['cli/main.js', ...workers]) {
  const isMain = entry === 'cli/main.js';
  const { metafile, outputFiles } = await build({
    absWorkingDir: repository,
    entryPoints: [join(compiled, entry)],
    outdir: out,
    entryNames: '[name]',
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    external: ['koffi'],
    plugins: [
      dispatchersOnly,
      namesWhereTheyAre,
      tunedWorkers,
      filesBeside,
      plainWidths,
      ...(isMain ? [modulesAsleep] : []),
    ],
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'warning',
    // The script is run without a loader of modules.
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
  });
  for (const input of Object.keys(metafile.inputs)) inputs.add(input);
  mkdirSync(out, { recursive: true });
  for (const { path, text } of outputFiles) {
    writeFileSync(path, isMain ? asFunction(ascii(text)) : ascii(text));
  }
}

/**
 * What Node's own loader makes of a module. It stands in the file: put around the text there, all of it is copied. Before
 * it stands a digest of the text, which names the code that is compiled of it, and the names of the commands.
 */
function asFunction(text) {
  const id = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const names = COMMANDS.map(({ name }) => name).join(' ');
  return `/*${id} ${names}*/(function (exports, require, module, __filename, __dirname) {${text}\n})`;
}

/** Non-ASCII characters as escapes, which strings and templates take: a script of single bytes is read faster. */
function ascii(text) {
  return text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const packages = new Set();
for (const input of inputs) {
  const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found !== null) packages.add(found[1]);
}
const notices = [...packages].sort().map((folder) => {
  const path = join(repository, folder);
  const { name, version, license } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'));
  const file = readdirSync(path).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name}: no licence file; it cannot be bundled`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), 'utf8').trim()}\n`;
});
if (notices.length === 0 || !existsSync(join(out, 'main.cjs'))) throw new Error('dist/command: nothing was bundled');
const line = `\n${'-'.repeat(80)}\n\n`;
writeFileSync(
  join(out, 'LICENSES.txt'),
  `The files of this folder contain the packages below, each under its own licence.\n${line}${notices.join(line)}`,
);

// The code of what most runs need is compiled here, by running it, for the Node that builds.
const warm = join(repository, 'build/warm-command.cjs');
await Promise.all(
  ['main', 'extract', 'unpack', 'flatten', 'mkfs', 'inspect', 'copy', 'pull'].map(async (command) => {
    const scratch = mkdtempSync(join(tmpdir(), 'rootfs-kit-build-'));
    try {
      await promisify(execFile)(process.execPath, [warm, join(repository, 'fixtures/hello'), scratch, command], {
        // What the user has set up for registries is of no interest here.
        env: { PATH: process.env.PATH, HOME: scratch },
      });
    } catch (error) {
      process.stderr.write(`build/warm-command.cjs ${command}: ${error.message}\nIt works, and starts more slowly.\n`);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }),
);
