/**
 * `npm run bench [-- CASE...]`: ratios against current peers, run in turn on the same input, medians, the load printed.
 *
 * Nothing here is asserted: machines are noisy. The table is markdown, to be quoted with the machine it came from.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { copyCases } from './cases/copy.js';
import { extractCases } from './cases/extract.js';
import { mountCases } from './cases/mount.js';
import { rangesCases } from './cases/ranges.js';
import { sandboxCases } from './cases/sandbox.js';
import { unpackCases } from './cases/unpack.js';
import { writableCases } from './cases/writable.js';
import type { Sample } from './measure.js';
import { openPlace, type Place } from './place.js';

/** A line of the table: what was done, ours, the peer's, and what else there is to say. */
export interface Row {
  readonly what: string;
  readonly ours: Sample;
  readonly peer: Sample;
  readonly peerName: string;
  readonly note?: string | undefined;
}

/** A benchmark: the inputs it needs, and how it runs. */
export interface Case {
  readonly name: string;
  readonly inputs: readonly string[];
  /** It mounts: without root it is left out, and fails where it was asked for by name. */
  readonly needsRoot?: boolean;
  run(place: Place, rounds: number): Promise<readonly Row[]>;
}

const CASES: readonly Case[] = [
  ...extractCases,
  ...unpackCases,
  ...copyCases,
  ...rangesCases,
  ...mountCases,
  ...sandboxCases,
  ...writableCases,
];

function cells(row: Row): string[] {
  const s = (value: number): string => (value < 0.1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`);
  const mb = (value: number): string => `${Math.round(value / 1e6)} MB`;
  return [
    row.what,
    s(row.ours.wall),
    `${s(row.peer.wall)} (${row.peerName})`,
    `${(row.peer.wall / row.ours.wall).toFixed(2)}x`,
    `${(row.ours.cpu / row.peer.cpu).toFixed(2)}x`,
    `${mb(row.ours.peak)} / ${mb(row.peer.peak)}`,
    row.note ?? '',
  ];
}

const rounds = Number(process.env['ROOTFS_BENCH_ROUNDS'] ?? 5);
const wanted = process.argv.slice(2);
const chosen = CASES.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
const unknown = wanted.find((name) => !chosen.some((one) => one.name === name));
if (unknown !== undefined) {
  console.error(`${unknown}: no such case; there are: ${CASES.map(({ name }) => name).join(' ')}`);
  process.exit(2);
}
const left = process.getuid?.() === 0 ? [] : chosen.filter(({ needsRoot }) => needsRoot === true);
for (const { name } of left) console.error(`${name}: mounting needs root; the case is left out`);
if (wanted.length > 0 && left.length > 0) process.exit(1);
const measured = chosen.filter((one) => !left.includes(one));
const place = openPlace([...new Set(measured.flatMap(({ inputs }) => inputs))]);
try {
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(2)}, ${rounds} rounds\n`,
  );
  console.log('| what | rootfs | peer | faster | processor time | peak memory ours / peer | |');
  console.log('|---|---|---|---|---|---|---|');
  for (const one of measured) {
    const rows = await one.run(place, rounds);
    if (rows.length === 0) throw new Error(`${one.name}: nothing was measured`);
    for (const row of rows) console.log(`| ${cells(row).join(' | ')} |`);
  }
} finally {
  place.clear();
}
