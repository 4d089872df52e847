/** The command line's entry: parses, runs one command, tells errors, returns the exit code. */
import type { Argv } from 'yargs';
import { RootfsError } from '../index.js';
import { adviseLayout } from './advise-layout.js';
import type { Arguments, Command, CommandEntry, Context } from './command.js';
import { COMMANDS } from './commands.js';
import { complete } from './complete.js';
import { ExitCode, exitCodeOfSignal } from './exit-code.js';
import { findCommand } from './find-command.js';
import { GLOBAL_OPTIONS } from './options.js';
import { printError } from './print-error.js';
import { printableJson } from './printable.js';
import { createProgress } from './progress/progress.js';
import { readWords } from './read-words.js';
import { writeStdout } from './write-stdout.js';

export { lineKind } from './line-kind.js';

/** Ctrl-C, who ends services, a terminal or connection that is closed. */
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * `timeout`, npm and others that run a command signal it alone and with its group. What comes so soon after the first is
 * the same wish, not a second one to cut the cleaning up short. In milliseconds.
 */
const SAME_SIGNAL_MS = 250;

/** For the general help alone: it is answered before anything is loaded. */
const VERSION_OPTION = { version: { alias: 'V', type: 'boolean', describe: 'Show the version' } } as const;

/** Columns of help. */
const WIDTH = 110;

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['$0 extract --dst layers debian:12', 'every layer as layers/sha256/<diffID>, verified'],
  ['$0 inspect --json ghcr.io/org/app:1.2 | jq .config', "an image's config"],
  ['$0 digest --platform linux/arm64 alpine', 'the digest of one platform'],
];

const EPILOGUE = `IMAGE is a registry reference (debian:12, docker://ghcr.io/org/app@sha256:…) or
a local source: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF],
dir:DIR, docker-daemon:REF. Data goes to stdout, everything else to stderr.
Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 denied, 5 integrity,
6 network, 130 interrupted, 141 the reader of stdout has gone, 129 SIGHUP,
143 SIGTERM.`;

/** Examples are not wrapped, as yargs would: each can be copied as it stands. */
function examples(lines: Command['examples'], columns: number): string {
  const width = Math.max(...lines.map(([line]) => line.length - 2 + 'rootfs'.length));
  const shown = lines.map(([line, does]) => {
    const words = line.replaceAll('$0', 'rootfs');
    return width + does.length + 6 <= columns ? `  ${words.padEnd(width)}  # ${does}` : `  # ${does}\n  ${words}`;
  });
  return ['Examples:', ...shown].join('\n');
}

function define(parser: Argv, entry: CommandEntry, command: Command): Argv {
  const words = command.positionals.map(({ name, required }) =>
    required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
  );
  parser.usage(`$0 ${[entry.name, '[options]', ...words].join(' ')}\n\n${entry.summary}.`);
  for (const one of command.positionals) parser.positional(one.name, { type: 'string', describe: one.describe });
  return parser.options(command.options);
}

/** The words of a command, read; or the help that was asked for. */
async function parse(argv: readonly string[]): Promise<{ command: Command; args: Arguments } | string> {
  const { name, words } = findCommand(argv);
  const entry = COMMANDS.find((one) => one.name === name);
  const command = await entry?.load();
  if (entry === undefined || command === undefined) return help(undefined, undefined);
  const args = readWords(command, entry.name, words);
  return args === undefined ? help(entry, command) : { command, args };
}

async function help(entry: CommandEntry | undefined, command: Command | undefined): Promise<string> {
  leaveRemovedFolder();
  const { default: yargs } = await import('yargs');
  const columns = Math.min(WIDTH, process.stdout.columns ?? WIDTH);
  const parser = yargs([])
    .scriptName('rootfs')
    .usage('$0 COMMAND [options]\n\nContainer images to root file systems, without a daemon and without root.')
    .version(false)
    .options({ ...GLOBAL_OPTIONS, ...(entry === undefined ? VERSION_OPTION : {}) })
    .wrap(columns)
    .help('help')
    .alias('h', 'help')
    .exitProcess(false);
  for (const one of COMMANDS) {
    const isThis = one === entry;
    const positions = isThis ? command?.positionals.map((word) => ` [${word.name}]`).join('') : undefined;
    parser.command(`${one.name}${positions ?? ''}`, one.summary, (inner: Argv) =>
      isThis && command !== undefined ? define(inner, one, command) : inner,
    );
  }
  let shown = '';
  await parser.parseAsync(entry === undefined ? ['--help'] : [entry.name, '--help'], {}, (_error, _args, output) => {
    shown = output;
  });
  const end =
    command === undefined ? `${examples(EXAMPLES, columns)}\n\n${EPILOGUE}` : examples(command.examples, columns);
  return `${shown}\n\n${end}`;
}

/** yargs asks for the working directory when it is loaded. Help is the same everywhere, also where that was removed. */
function leaveRemovedFolder(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
  }
}

/**
 * Runs one command line. Never throws.
 *
 * @param argv The words after `rootfs`.
 * @returns the exit code.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  let stopping: NodeJS.Signals | undefined;
  let stoppedAt = 0;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping === signal && performance.now() - stoppedAt < SAME_SIGNAL_MS) return;
    if (stopping !== undefined) process.exit(exitCodeOfSignal(signal));
    stopping = signal;
    stoppedAt = performance.now();
    interrupt.abort(interruption(signal, ''));
    // Whatever hears no abort, or is still cleaning up after a moment, is cut off: Ctrl-C ends within a second.
    setTimeout(() => {
      tellStop(interruption(signal, '; it did not end in time and was cut off'));
      process.exit(exitCodeOfSignal(signal));
    }, 900).unref();
  };
  for (const signal of STOPPING) process.on(signal, stop);
  // Notes that nobody can read, on a full disk or a closed pipe, are no reason to end the work.
  process.stderr.on('error', () => {});
  // Until the words are read: an error in them is told as they ask for.
  const asksFor = (name: string): boolean => argv.some((word) => word === `--${name}` || word === `--${name}=true`);
  let json = asksFor('json');
  let debug = asksFor('debug');
  const toStderr = (text: string): void => void process.stderr.write(text);
  let endProgress = (): void => {};
  let isTold = false;
  const tellStop = (reason: RootfsError): void => {
    if (isTold) return;
    isTold = true;
    endProgress();
    if (json) printError(reason, { json, debug, write: toStderr });
    else toStderr(`rootfs: ${reason.message}\n`);
  };
  try {
    if (argv[0] === '--complete') {
      await writeStdout((await complete(argv.slice(1))).map((word) => `${word}\n`).join(''));
      return ExitCode.done;
    }
    const parsed = await parse(argv);
    if (typeof parsed === 'string') {
      await writeStdout(`${parsed}\n`);
      return ExitCode.done;
    }
    const { args, command } = parsed;
    json = args['json'] === true;
    debug = args['debug'] === true;
    const quiet = args['quiet'] === true;
    const progress = await createProgress(args['progress'], quiet, json);
    endProgress = progress.end;
    const context: Context = {
      signal: interrupt.signal,
      onProgress: progress.listen,
      write: json ? writeJson : writeStdout,
      endProgress,
      note: (line) => {
        if (!quiet) progress.note(line);
      },
    };
    const code = await command.run(args, context).catch((error: unknown) => {
      throw adviseLayout(error, args);
    });
    endProgress();
    return code ?? ExitCode.done;
  } catch (error) {
    if (stopping !== undefined) {
      tellStop(interrupt.signal.reason);
      return exitCodeOfSignal(stopping);
    }
    endProgress();
    return printError(error, { json, debug, write: toStderr });
  } finally {
    for (const signal of STOPPING) process.removeListener(signal, stop);
    await stderrTaken();
  }
}

function interruption(signal: NodeJS.Signals, more: string): RootfsError {
  return new RootfsError('ERR_INTERNAL', `interrupted by ${signal}${more}`, { detail: { signal } });
}

function writeJson(data: string | Uint8Array): Promise<void> {
  return writeStdout(typeof data === 'string' ? printableJson(data) : data);
}

/** Resolves when the system has taken what was written to stderr: of a pipe that is full, Node keeps the rest, and loses it at the exit. */
async function stderrTaken(): Promise<void> {
  if (process.stderr.writableLength === 0) return;
  await new Promise<void>((resolve) => process.stderr.write('', () => resolve()));
}
