/**
 * Bundles the command, its workers and the packages they use into `dist/command`: finding and reading some hundred
 * modules one by one takes longer than most commands. koffi is native and stays outside. The licences of what is
 * inside go beside it.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const repository = fileURLToPath(new URL('../', import.meta.url));
const out = join(repository, 'dist/command');
const compiled = join(repository, 'dist/src');

/**
 * The whole of undici brings fetch, web sockets and caches, and makes Node load its own copy of them: twice the time
 * of the three classes that connections are made of. Its version is pinned, and a file that moved fails the build.
 */
const dispatchersOnly = {
  name: 'undici-dispatchers',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'dispatchers' }));
    onLoad({ filter: /.*/, namespace: 'dispatchers' }, () => ({
      contents: ['Agent agent', 'Pool pool', 'ProxyAgent proxy-agent']
        .map((entry) => entry.split(' '))
        .map(([name, file]) => `export { default as ${name} } from './node_modules/undici/lib/dispatcher/${file}.js';`)
        .join('\n'),
      resolveDir: repository,
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

const workers = readdirSync(compiled, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('-worker.js'),
);
rmSync(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: repository,
  entryPoints: [join(compiled, 'cli/main.js'), ...workers.map((file) => join(compiled, file))],
  outdir: out,
  entryNames: '[name]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['koffi'],
  plugins: [dispatchersOnly, namesWhereTheyAre],
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // CommonJS packages call `require` for Node's own modules; in an ES module there is none.
  banner: {
    js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
  },
});

const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
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
if (notices.length === 0 || !existsSync(join(out, 'main.js'))) throw new Error('dist/command: nothing was bundled');
const line = `\n${'-'.repeat(80)}\n\n`;
writeFileSync(
  join(out, 'LICENSES.txt'),
  `The files of this folder contain the packages below, each under its own licence.\n${line}${notices.join(line)}`,
);
