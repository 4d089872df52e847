/** The public face: what its types and docstrings speak of can be imported from it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FORMS, TAR_LIMITS, UNPACK_LIMITS } from '../src/index.js';

const DIST = fileURLToPath(new URL('../src', import.meta.url));

interface Exported {
  readonly name: string;
  readonly file: string;
}

function declarationsOf(file: string): string {
  return readFileSync(join(DIST, file), 'utf8');
}

/** What a face exports by name, and where that is declared; stars are followed. */
function exportsOf(face: string): readonly Exported[] {
  const text = withoutComments(declarationsOf(face));
  const found: Exported[] = [];
  for (const [, names = '', from = ''] of text.matchAll(/export (?:type )?\{([^}]*)\} from '([^']+)'/g)) {
    const file = join(dirname(face), from.replace(/\.js$/, '.d.ts'));
    for (const one of names.split(',')) {
      const name = one.trim().replace(/^type /, '');
      if (name !== '') found.push({ name, file });
    }
  }
  for (const [, alias, from = ''] of text.matchAll(/export (?:type )?\*(?: as (\w+))? from '([^']+)'/g)) {
    const file = join(dirname(face), from.replace(/\.js$/, '.d.ts'));
    if (alias !== undefined) found.push({ name: alias, file }, ...exportsOf(file));
    else for (const name of declaredIn(withoutComments(declarationsOf(file)))) found.push({ name, file });
  }
  return found;
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '');
}

const DECLARATION = /^export (?:declare )?(?:abstract )?(?:function|class|const|interface|type) (\w+)/gm;

function declaredIn(text: string): readonly string[] {
  return [...text.matchAll(DECLARATION)].map(([, name]) => name as string);
}

/** The statements of a file that declare a name, from its docstring to the next statement. */
function statementsOf(file: string, name: string): string {
  const parts = declarationsOf(file).split(/^(?=\/\*\*|export |declare |import )/m);
  const own: string[] = [];
  for (const [at, part] of parts.entries()) {
    if (
      !new RegExp(`^export (?:declare )?(?:abstract )?(?:function\\*?|class|const|interface|type) ${name}\\b`).test(
        part,
      )
    )
      continue;
    const before = parts[at - 1] ?? '';
    own.push(before.startsWith('/**') ? before + part : part);
  }
  return own.join('\n');
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.d.ts'));
}

const main = exportsOf('index.d.ts');
const testing = exportsOf('testing/testing.d.ts');

for (const [face, exported, known] of [
  ['index.d.ts', main, main],
  ['testing/testing.d.ts', testing, [...main, ...testing]],
] as const) {
  const names = new Set(known.map(({ name }) => name));

  test(`${face}: every type that a declaration needs is exported`, () => {
    assert.ok(exported.length > 50);
    const missing = new Set<string>();
    for (const { name, file } of exported) {
      const all = withoutComments(declarationsOf(file));
      const imported = [...all.matchAll(/import (?:type )?\{([^}]*)\} from '\.[^']*'/g)].flatMap(([, list = '']) =>
        list.split(',').map((one) => one.trim().replace(/^type /, '')),
      );
      const local = [...all.matchAll(/^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type) (\w+)/gm)];
      const here = new Set([...imported, ...local.map(([, one]) => one as string)]);
      const own = withoutComments(statementsOf(file, name)).replace(/'[^']*'/g, '');
      for (const [word] of own.matchAll(/\b[A-Z]\w+/g)) {
        if (here.has(word) && !names.has(word)) missing.add(`${word}, which ${name} of ${file} needs`);
      }
    }
    assert.deepEqual([...missing], []);
  });

  test(`${face}: every docstring speaks of what can be had`, () => {
    const inside = new Set(filesBelow(DIST).flatMap((file) => declaredIn(withoutComments(declarationsOf(file)))));
    assert.ok(inside.size > names.size);
    const members = new Set<string>();
    const texts = exported.map(({ name, file }) => ({ name, file, text: statementsOf(file, name) }));
    for (const { text } of texts) {
      for (const [word] of withoutComments(text).matchAll(/\b[a-z]\w*/g)) members.add(word);
    }
    const unknown = new Set<string>();
    for (const { name, file, text } of texts) {
      for (const [comment] of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
        for (const [, word = ''] of comment.matchAll(/`(\w+)(?:\.\w+)?`/g)) {
          // A plain word (`bundle`, `location`) need not mean the function of that name.
          if (!/[A-Z]/.test(word)) continue;
          if (inside.has(word) && !names.has(word) && !members.has(word)) unknown.add(`${word}: ${name} of ${file}`);
        }
        for (const [, path = ''] of comment.matchAll(/`([\w/-]+\.ts)`/g)) unknown.add(`${path}: ${name} of ${file}`);
      }
    }
    assert.deepEqual([...unknown], []);
  });
}

test('the checks read something: every export is found where it is said to be declared', () => {
  for (const { name, file } of [...main, ...testing]) {
    if (name === 'engine') continue;
    assert.notEqual(statementsOf(file, name), '', `${name} in ${relative('.', file)}`);
  }
});

test('defaults that everybody shares cannot be changed', () => {
  for (const shared of [TAR_LIMITS, UNPACK_LIMITS, FORMS]) assert.ok(Object.isFrozen(shared));
});

test('what may be left out may be undefined as well, for callers that tell the two apart', () => {
  const open = new Set<string>();
  for (const { name, file } of [...main, ...testing]) {
    // Members of a member are left out.
    const own = withoutComments(statementsOf(file, name)).replace(/(?<=: (?:readonly )?)\{[^{}]*\}/g, 'object');
    for (const [member] of own.matchAll(/\breadonly \w+\?: [^;}]+/g)) {
      if (!/\bundefined$|: unknown$/.test(member.trim())) open.add(`${member} of ${name} in ${file}`);
    }
    for (const [partial] of own.matchAll(/\bPartial<\w+Limits>/g)) open.add(`${partial} of ${name} in ${file}`);
  }
  assert.deepEqual([...open], []);
});
