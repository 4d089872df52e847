/**
 * Checks the table of docs/embedding.md: every name on the right is exported, with the member that it speaks of, and
 * every test exists. Run it by itself: `node dist/test/docs/check-table.js`; it prints what is wrong.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** One line of the table. */
export interface TableRow {
  readonly system: string;
  readonly theirs: string;
  /** `name` or `name.member`. */
  readonly ours: readonly string[];
  readonly file: string;
  readonly title: string;
}

/** Reads the rows. */
export function readTable(): readonly TableRow[] {
  const rows: TableRow[] = [];
  const text = readFileSync(join(root, 'docs', 'embedding.md'), 'utf8');
  const [, table = ''] = text.split('## The table\n');
  let system = '';
  for (const line of table.split('\n')) {
    if (line.startsWith('### ')) system = line.slice(4);
    const cells = /^\| `([^`]+)` +\| (.+?) +\| `([^`]+)`: (.+?) +\|$/.exec(line);
    if (cells === null) continue;
    const [, theirs = '', ours = '', file = '', title = ''] = cells;
    rows.push({ system, theirs, ours: [...ours.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name), file, title });
  }
  return rows;
}

/** Everything that the public face exports, values and types. */
async function exportedNames(): Promise<Set<string>> {
  const face: Record<string, unknown> = await import('../../src/index.js');
  const names = new Set(Object.keys(face));
  const source = readFileSync(join(root, 'src', 'index.ts'), 'utf8');
  for (const [, list = ''] of source.matchAll(/export (?:type )?\{([^}]*)\}/g)) {
    for (const [, name = ''] of list.matchAll(/(?:type )?(\w+)\s*(?:,|$)/g)) names.add(name);
  }
  for (const [, from = ''] of source.matchAll(/export (?:type )?\* from '\.\/([^']+)\.js'/g)) {
    const module = readFileSync(join(root, 'src', `${from}.ts`), 'utf8');
    for (const [, name = ''] of module.matchAll(/^export (?:interface|type|class|function|const) (\w+)/gm))
      names.add(name);
  }
  return names;
}

/** The declarations of all exported things, by name: from the first line to the end of the block. */
function declarations(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(join(root, 'src', file), 'utf8');
    for (const match of text.matchAll(/^export (?:abstract )?(?:interface|class) (\w+)/gm)) {
      const end = text.indexOf('\n}', match.index);
      found.set(match[1] ?? '', text.slice(match.index, end));
    }
  }
  return found;
}

/** What is wrong with the table, one line each; nothing when all is well. */
export async function checkTable(rows: readonly TableRow[]): Promise<readonly string[]> {
  const names = await exportedNames();
  const declared = declarations();
  const face: Record<string, unknown> = await import('../../src/index.js');
  const problems: string[] = [];
  for (const { theirs, ours, file, title } of rows) {
    if (ours.length === 0) problems.push(`${theirs}: nothing of ours stands beside it`);
    for (const name of ours) {
      const [owner = '', member] = name.split('.');
      if (!names.has(owner)) problems.push(`${theirs}: ${owner} is not exported`);
      if (member === undefined) continue;
      const value = face[owner];
      const inValue = typeof value === 'object' && value !== null && member in value;
      const inType = new RegExp(`^ {2}(?:readonly |async )*${member}\\??[(:<]`, 'm').test(declared.get(owner) ?? '');
      if (!inValue && !inType) problems.push(`${theirs}: ${owner} has no ${member}`);
    }
    const path = join(root, file);
    if (!existsSync(path)) problems.push(`${theirs}: there is no ${file}`);
    else if (!holdsTest(readFileSync(path, 'utf8'), title)) problems.push(`${theirs}: ${file} has no test "${title}"`);
  }
  return problems;
}

function holdsTest(source: string, title: string): boolean {
  return ["'", '"', '`'].some((quote) => source.includes(`test(${quote}${title}${quote}`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = readTable();
  const problems = await checkTable(rows);
  process.stdout.write(problems.length === 0 ? `${rows.length} rows, all sound\n` : `${problems.join('\n')}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
