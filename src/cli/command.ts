/**
 * What a command of the command line is: data that help, parsing and completion are made from, and one function.
 *
 * This room knows the public API (`index.ts`) and terminals; it holds no logic that a library user would miss.
 */
import type { Options } from 'yargs';
import type { ProgressListener } from '../index.js';

/** The parsed command line: positional words and options by their names. Options may be absent. */
export type Arguments = Readonly<Record<string, unknown>>;

/** What a running command may use. stdout is data only; everything else goes to stderr. */
export interface Context {
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
  /** Writes data; resolves when it was taken, so that a slow reader is waited for. */
  write(data: string | Uint8Array): Promise<void>;
  /** Writes one line for people to stderr, unless `--quiet`. */
  note(line: string): void;
  /** Takes the progress display off the terminal before data is printed there. */
  endProgress(): void;
}

/** One positional argument. */
export interface Positional {
  readonly name: string;
  readonly describe: string;
  readonly required: boolean;
}

/** A command's definition. */
export interface Command {
  readonly positionals: readonly Positional[];
  readonly options: Readonly<Record<string, Options>>;
  /** Command lines and what they do, shown by `--help`. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** @returns the exit code; absent means 0. */
  run(args: Arguments, context: Context): Promise<number | undefined>;
}

/** A line of the command table: its name, what it does in one line, and how to load it. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}
