/** Measuring one command: wall clock, processor seconds and peak memory, by GNU time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';

/** One run. Seconds; bytes. */
export interface Run {
  readonly wall: number;
  readonly cpu: number;
  readonly peak: number;
}

/** Several runs of one command: the median of each column, and the machine's load when they began. */
export interface Sample extends Run {
  readonly runs: readonly Run[];
  readonly load: number;
}

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
    const [user, system, kilobytes] = readFileSync(report, 'utf8').trim().split(' ').map(Number);
    return { wall, cpu: (user ?? 0) + (system ?? 0), peak: (kilobytes ?? 0) * 1024 };
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
  run(round: number): Promise<Run>;
}

/** Runs the contestants in turn, `rounds` times each, and takes medians. */
export async function alternate(contestants: readonly Contestant[], rounds: number): Promise<Sample[]> {
  const load = loadavg()[0] ?? 0;
  const runs = contestants.map((): Run[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, one] of contestants.entries()) runs[at]?.push(await one.run(round));
  }
  return runs.map((list) => ({
    wall: median(list.map((run) => run.wall)),
    cpu: median(list.map((run) => run.cpu)),
    peak: Math.max(...list.map((run) => run.peak)),
    runs: list,
    load,
  }));
}
