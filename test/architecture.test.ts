/** The floor plan as a test: every file has a floor, edges go strictly down, packages stay in their rooms. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

const FLOORS: Readonly<Record<string, number>> = {
  'errors.ts': 0,
  'progress.ts': 0,
  spec: 1,
  io: 2,
  codec: 2,
  tar: 2,
  content: 3,
  registry: 4,
  image: 4,
  layer: 4,
  client: 5,
  rootfs: 5,
  export: 6,
  analyze: 6,
  engine: 6,
  'engine.ts': 7,
  'places.ts': 6,
  'open.ts': 7,
  'open-destination.ts': 7.2,
  'prepare-rootfs.ts': 7.5,
  testing: 8,
  'index.ts': 8,
  cli: 9,
};

const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  valibot: ['spec'],
  'p-map': ['io'],
  koffi: ['io'],
  minizlib: ['codec'],
  fzstd: ['codec'],
  undici: ['registry'],
  'smol-toml': ['registry'],
  yargs: ['cli'],
  'cli-progress': ['cli'],
  picocolors: ['cli'],
  'fs-extra': ['io', 'export', 'cli'],
};

interface Edge {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .sort();

function room(file: string): string {
  return file.split('/')[0] ?? file;
}

function floor(file: string): number | undefined {
  return FLOORS[room(file)];
}

const SPECIFIER =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire(?:\.resolve)?\(\s*|\bnew URL\(\s*)(['"])([^'"\n]+)\1|@import\s+['"]([^'"]+)['"]/g;

function specifiers(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8').replace(/^\s*(?:\*|\/\/).*$/gm, '');
  return [...text.matchAll(SPECIFIER)].map((match) => match[2] ?? match[3] ?? '');
}

const edges: Edge[] = [];
const packages: Edge[] = [];
for (const file of files) {
  for (const specifier of specifiers(file)) {
    if (specifier.startsWith('.')) {
      const to = normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts');
      edges.push({ from: file, to });
    } else if (/^[a-z@][a-z0-9@/._-]*$/.test(specifier) && !specifier.startsWith('node:')) {
      packages.push({
        from: file,
        to: specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
      });
    }
  }
}

test('the checker has read the house', () => {
  assert.ok(files.length > 20, `only ${files.length} modules were read`);
  assert.ok(edges.length > files.length / 2, `only ${edges.length} edges were found`);
});

test('every file has a floor', () => {
  assert.deepEqual(
    files.filter((file) => floor(file) === undefined),
    [],
  );
});

test('edges go strictly down, or stay in their room', () => {
  const wrong = edges.filter(({ from, to }) => {
    if (to.startsWith('..')) return !to.endsWith('package.json');
    if (room(from) === room(to)) return false;
    return (floor(to) ?? Number.POSITIVE_INFINITY) >= (floor(from) ?? -1);
  });
  assert.deepEqual(wrong, []);
});

test('every edge ends at a file that is there', () => {
  const known = new Set(files);
  assert.deepEqual(
    edges.filter(({ to }) => !to.startsWith('..') && !known.has(to)),
    [],
  );
});

test('the command line eats our own API', () => {
  const wrong = edges.filter(({ from, to }) => room(from) === 'cli' && room(to) !== 'cli' && to !== 'index.ts');
  assert.deepEqual(
    wrong.filter(({ to }) => !to.startsWith('..')),
    [],
  );
});

test('each package is imported in its rooms only', () => {
  const wrong = packages.filter(({ from, to }) => !(PACKAGES[to] ?? []).includes(room(from)));
  assert.deepEqual(wrong, []);
});

test('a room has no barrel', () => {
  assert.deepEqual(
    files.filter((file) => file.endsWith('/index.ts')),
    [],
  );
});

test('there are no circles', () => {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const path: string[] = [];
  const circles: string[] = [];
  const visit = (file: string): void => {
    if (path.includes(file)) {
      circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const to of next.get(file) ?? []) visit(to);
    path.pop();
    done.add(file);
  };
  for (const file of files) visit(file);
  assert.deepEqual(circles, []);
});

test('every export has its docstring', () => {
  const bare: string[] = [];
  for (const file of files.filter((name) => name !== 'index.ts' && !name.startsWith('cli/'))) {
    const lines = readFileSync(join(src, file), 'utf8').split('\n');
    for (const [index, line] of lines.entries()) {
      if (
        !/^export (?:default |abstract |async |declare )*(?:function|class|const|interface|type|enum)\b(?! [{*])/.test(
          line,
        )
      )
        continue;
      if (!(lines[index - 1] ?? '').trimEnd().endsWith('*/'))
        bare.push(`${relative('.', file)}:${index + 1} ${line.slice(0, 60)}`);
    }
  }
  assert.deepEqual(bare, []);
});

test('no declaration gives Buffer or a view a type argument, which compilers before TypeScript 5.7 refuse', () => {
  const compiled = fileURLToPath(new URL('../src/', import.meta.url));
  const declarations = readdirSync(compiled, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.d.ts'),
  );
  assert.ok(declarations.length > 100, `${declarations.length} declarations`);
  const generic = declarations.filter((file) =>
    /\b(?:Buffer|DataView|\w+Array)<Array/.test(readFileSync(join(compiled, file), 'utf8')),
  );
  assert.deepEqual(generic, []);
});
