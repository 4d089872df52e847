/** Measuring one command: wall clock, processor seconds and peak memory, by GNU time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One run. Seconds; bytes. */
export interface Run {
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
}

/** Several runs of one command: the medians of its times, and the highest peak. */
export type Sample = Run;

/**
 * With NODE_EXTRA_CA_CERTS every start of Node reads the certificates it names, 50 ms for those of a whole system, and
 * nothing here speaks TLS.
 */
const { NODE_EXTRA_CA_CERTS: _, ...PLAIN } = process.env;

/** Runs a command to its end; anything but exit code 0 throws what it wrote to stderr. Servers we started go on. */
export async function runCommand(command: readonly string[], env: NodeJS.ProcessEnv = PLAIN): Promise<void> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors = (errors + String(chunk)).slice(-10_000);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command.join(' ')}: exit ${code}\n${errors}`);
}

/** Runs a command once, under GNU time. */
export async function runOnce(command: readonly string[], env: NodeJS.ProcessEnv = PLAIN): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-bench-'));
  const report = join(folder, 'time');
  try {
    const started = process.hrtime.bigint();
    await runCommand(['time', '-f', '%U %S %M', '-o', report, ...command], env);
    const wall = Number(process.hrtime.bigint() - started) / 1e9;
    const [user = Number.NaN, system = Number.NaN, kilobytes = Number.NaN] = readFileSync(report, 'utf8')
      .trim()
      .split(' ')
      .map(Number);
    return { wall, cpu: user + system, peak: kilobytes * 1024 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The middle of a list of numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** A contestant: its name, and one run of it into a fresh place. */
export interface Contestant {
  readonly name: string;
  run(): Promise<Run>;
}

/** Runs the contestants in turn, `rounds` times each, and takes medians. @throws Error where one measured nothing */
export async function alternate<const Contestants extends readonly Contestant[]>(
  contestants: Contestants,
  rounds: number,
): Promise<{ readonly [At in keyof Contestants]: Sample }> {
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`rounds: ${rounds} is no count of 1 or more`);
  const runs = contestants.map((): Run[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, one] of contestants.entries()) runs[at]?.push(await measured(one));
  }
  const samples = runs.map(
    (list): Sample => ({
      wall: median(list.map((run) => run.wall)),
      cpu: median(list.map((run) => run.cpu)),
      peak: Math.max(...list.map((run) => run.peak)),
    }),
  );
  return samples as { readonly [At in keyof Contestants]: Sample };
}

async function measured(one: Contestant): Promise<Run> {
  const run = await one.run();
  if (run.wall > 0 && run.cpu >= 0 && run.peak > 0) return run;
  throw new Error(`${one.name}: nothing was measured: ${JSON.stringify(run)}`);
}

/** The same for two that differ in what they find warm: each runs once before. */
export async function contest(ours: Contestant, peer: Contestant, rounds: number): Promise<readonly [Sample, Sample]> {
  await ours.run();
  await peer.run();
  return alternate([ours, peer], rounds);
}
