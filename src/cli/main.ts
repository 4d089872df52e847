/** The command line's entry: parses, runs one command, tells errors, returns the exit code. */
import type { Argv } from 'yargs';
import { RootfsError } from '../index.js';
import type { Arguments, Command, CommandEntry, Context } from './command.js';
import { COMMANDS } from './commands.js';
import { complete } from './complete.js';
import { ExitCode } from './exit-code.js';
import { GLOBAL_OPTIONS } from './options.js';
import { printError } from './print-error.js';
import { createProgress } from './progress/progress.js';
import { writeStdout } from './write-stdout.js';

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['$0 extract --dst layers debian:12', 'every layer as layers/sha256/<diffID>, verified'],
  ['$0 inspect --json ghcr.io/org/app:1.2 | jq .config', "an image's config"],
  ['$0 digest --platform linux/arm64 alpine', 'the digest of one platform'],
];

const EPILOGUE = `IMAGE is a registry reference (debian:12, docker://ghcr.io/org/app@sha256:…) or a local source:
oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], dir:DIR, docker-daemon:REF.
Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failure, 2 usage, 3 not found,
4 denied, 5 integrity, 6 network, 130 interrupted.`;

function usageError(message: string, command?: string): RootfsError {
  const help = command === undefined ? 'rootfs --help' : `rootfs ${command} --help`;
  return new RootfsError('ERR_OPTION_INVALID', `${message}; see ${help}`);
}

/** yargs turns `--platform a --platform b` into a list; where one value is meant, that is a mistake worth naming. */
function refuseRepeats(args: Arguments, options: Command['options'], command: string): void {
  for (const [name, option] of Object.entries(options)) {
    if (option.array !== true && option.type !== 'array' && Array.isArray(args[name])) {
      throw usageError(`--${name} was given more than once; give it once`, command);
    }
    if (option.type === 'string' && args[name] === '') throw usageError(`--${name} needs a value`, command);
  }
}

function requireWords(args: Arguments, command: Command, name: string): void {
  for (const one of command.positionals) {
    if (one.required && (args[one.name] === undefined || args[one.name] === '')) {
      throw usageError(`${name}: ${one.name.toUpperCase()} is missing`, name);
    }
  }
}

/** The command that was probably meant: the nearest by letters added, dropped or swapped; nothing where none is near. */
function nearest(word: string): string | undefined {
  const scored = COMMANDS.map(({ name }) => ({ name, distance: distance(word, name) })).sort(
    (a, b) => a.distance - b.distance,
  );
  const best = scored[0];
  return best !== undefined && best.distance <= Math.max(2, best.name.length / 3) ? best.name : undefined;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, char] of [...a.slice(0, 40)].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      next.push(Math.min((row[j] ?? 0) + (char === b[j] ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function requireCommand(argv: readonly string[]): void {
  const word = argv.find((one) => !one.startsWith('-'));
  if (argv.some((one) => one === '--help' || one === '-h') && word === undefined) return;
  if (word === undefined) throw usageError('no command given');
  if (COMMANDS.some(({ name }) => name === word)) return;
  const meant = nearest(word);
  throw usageError(`unknown command ${JSON.stringify(word)}${meant === undefined ? '' : `, did you mean ${meant}?`}`);
}

function define(parser: Argv, entry: CommandEntry, command: Command): Argv {
  const words = command.positionals.map(({ name, required }) =>
    required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
  );
  parser.usage(`$0 ${[entry.name, '[options]', ...words].join(' ')}\n\n${entry.summary}.`);
  for (const one of command.positionals) parser.positional(one.name, { type: 'string', describe: one.describe });
  parser.options(command.options);
  for (const [line, does] of command.examples) parser.example(line, does);
  return parser;
}

async function parse(
  argv: readonly string[],
): Promise<{ entry: CommandEntry; command: Command; args: Arguments } | string> {
  requireCommand(argv);
  const { default: yargs } = await import('yargs');
  let found: { entry: CommandEntry; command: Command; args: Arguments } | undefined;
  let shown = '';
  let wanted: string | undefined;
  const parser = yargs([])
    .scriptName('rootfs')
    .usage('$0 COMMAND [options]\n\nContainer images to root file systems, without a daemon and without root.')
    .parserConfiguration({ 'parse-positional-numbers': false })
    .options(GLOBAL_OPTIONS)
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .version(false)
    .help('help')
    .alias('h', 'help')
    .exitProcess(false)
    .epilogue(EPILOGUE)
    .fail((message, error) => {
      throw (
        error ??
        usageError(
          message
            .trim()
            .replace(/\s*\n\s*/g, ' ')
            .replace(/^Unknown arguments?: /, 'unknown: '),
          wanted,
        )
      );
    });
  for (const [line, does] of EXAMPLES) parser.example(line, does);
  const at = argv.findIndex((one) => !one.startsWith('-'));
  // For each named command yargs lays out its help, asked for or not, which takes longer than all the rest: a command
  // line that asks for none is parsed as that of a program with this one command.
  const alone = at >= 0 && !argv.some((one) => /^-[^-]*h|^--help/.test(one));
  for (const entry of COMMANDS) {
    const isThis = argv[at] === entry.name;
    if (alone && !isThis) continue;
    const command = isThis ? await entry.load() : undefined;
    // Optional for yargs, so that a wrong option is named before a missing word is.
    const words = command?.positionals.map((one) => ` [${one.name}]`).join('') ?? '';
    parser.command(
      `${alone ? '$0' : entry.name}${words}`,
      entry.summary,
      (inner: Argv) => {
        wanted = entry.name;
        inner.epilogue('').demandCommand(0, 0, '', 'too many words');
        return command === undefined ? inner : define(inner, entry, command);
      },
      (args: Arguments) => {
        if (command !== undefined) found = { entry, command, args };
      },
    );
  }
  await parser.parseAsync(
    alone ? argv.toSpliced(at, 1) : argv,
    {},
    (_error: unknown, _args: unknown, output: string) => {
      shown = output;
    },
  );
  if (found === undefined) return shown;
  requireWords(found.args, found.command, found.entry.name);
  refuseRepeats(found.args, { ...GLOBAL_OPTIONS, ...found.command.options }, found.entry.name);
  return found;
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
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping !== undefined) process.exit(ExitCode.interrupted);
    stopping = signal;
    interrupt.abort(new RootfsError('ERR_INTERNAL', `interrupted by ${signal}`));
    // Whatever is still cleaning up after a moment is cut off: Ctrl-C ends within a second.
    setTimeout(() => process.exit(signal === 'SIGTERM' ? 143 : ExitCode.interrupted), 900).unref();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  let json = argv.includes('--json');
  const debug = argv.includes('--debug');
  const toStderr = (text: string): void => void process.stderr.write(text);
  let endProgress = (): void => {};
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
    const quiet = args['quiet'] === true;
    const progress = await createProgress(args['progress'], quiet, json);
    endProgress = progress.end;
    const context: Context = {
      signal: interrupt.signal,
      onProgress: progress.listen,
      write: writeStdout,
      endProgress,
      note: (line) => {
        if (!quiet) progress.note(line);
      },
    };
    const code = await command.run(args, context);
    endProgress();
    return code ?? ExitCode.done;
  } catch (error) {
    endProgress();
    if (stopping !== undefined) {
      if (!json) toStderr(`rootfs: interrupted by ${stopping}\n`);
      return stopping === 'SIGTERM' ? 143 : ExitCode.interrupted;
    }
    return printError(error, { json, debug, write: toStderr });
  } finally {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  }
}
