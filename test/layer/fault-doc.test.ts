/** docs/faults.md says what the table of faults says. `ROOTFS_WRITE_DOCS=1` writes it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exitCodeOf } from '../../src/cli/exit-code.js';
import type { ErrorCode } from '../../src/errors.js';
import { FAULT_TABLE, type FaultLine } from '../support/fault-table.js';
import { REPOSITORY } from '../support/rootfs.js';

const FILE = join(REPOSITORY, 'docs', 'faults.md');
const PART = /(<!-- made by [^>]*-->\n)[\s\S]*(<!-- end -->)/;

function ending(line: FaultLine): string {
  const end = line.ends === 'whole' ? 'survived' : `\`${line.ends}\` (exit ${exitCodeOf(line.ends as ErrorCode)})`;
  const kept = line.keeps === undefined ? [] : ['what came is kept for the next run'];
  const notes = [...(line.note === undefined ? [] : [line.note]), ...kept];
  return notes.length === 0 ? end : `${end}: ${notes.join('; ')}`;
}

/** A markdown table with aligned columns, as the formatter wants it. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column as 0 | 1].length)));
  const [left = 0, right = 0] = widths;
  const shown = rows.map(([a, b]) => `| ${a.padEnd(left)} | ${b.padEnd(right)} |`);
  return [shown[0] ?? '', `| ${'-'.repeat(left)} | ${'-'.repeat(right)} |`, ...shown.slice(1)];
}

function tables(): string {
  const parts = FAULT_TABLE.map(({ title, lines }) => {
    const rows = lines.map((line): [string, string] => [line.name, ending(line)]);
    return [`## ${title}`, '', ...table([['what goes wrong', 'how it ends'], ...rows]), ''].join('\n');
  });
  return `\n${parts.join('\n')}\n`;
}

test('docs/faults.md holds the table of faults, row by row', () => {
  const found = readFileSync(FILE, 'utf8');
  const wanted = found.replace(PART, (_whole, begin: string, end: string) => `${begin}${tables()}${end}`);
  if (process.env['ROOTFS_WRITE_DOCS'] === '1') writeFileSync(FILE, wanted);
  else assert.equal(found, wanted, 'run this test with ROOTFS_WRITE_DOCS=1');
  const cases = FAULT_TABLE.reduce((sum, { lines }) => sum + lines.length, 0);
  const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
  assert.equal(/Each of the (\d+) cases of the whole job/.exec(readme)?.[1], String(cases), 'README.md');
});
