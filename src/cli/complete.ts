/** Completion: the words that may stand next on a command line, for the scripts of `rootfs completion`. */
import type { Options } from 'yargs';
import type { Command } from './command.js';
import { COMMANDS } from './commands.js';
import { GLOBAL_OPTIONS } from './options.js';

/** The words that a command's first argument can be, where there are only so many. */
const FIRST_WORDS: Readonly<Record<string, readonly string[]>> = {
  cache: ['ls', 'verify', 'prune'],
  completion: ['bash', 'zsh', 'fish'],
};

function flags(options: Command['options']): string[] {
  return Object.entries(options).map(([name, option]) =>
    option.type === 'boolean' && option.default === true ? `--no-${name}` : `--${name}`,
  );
}

/** A line's words with `--name=value` as two. bash gives it as three, and as two where nothing follows yet. */
function apart(words: readonly string[]): { readonly before: readonly string[]; readonly last: string } {
  const all = words.flatMap((word, at) => {
    if (word === '=' && words[at - 1]?.startsWith('--') === true) return at === words.length - 1 ? [''] : [];
    const [, name, value] = /^(--[^=]+)=(.*)$/.exec(word) ?? [];
    return name === undefined || value === undefined ? [word] : [name, value];
  });
  return { before: all.slice(0, -1), last: all.at(-1) ?? '' };
}

/** The option that the word behind `word` is the value of. */
function takingValue(word: string | undefined, options: Command['options']): Options | undefined {
  if (word === undefined || !/^--?[^-]/.test(word)) return undefined;
  const name = word.replace(/^--?/, '');
  const isShort = !word.startsWith('--');
  const option = Object.entries(options).find(([long, { alias }]) => (isShort ? alias === name : long === name))?.[1];
  return option === undefined || option.type === 'boolean' ? undefined : option;
}

/**
 * Says what may complete the last word.
 *
 * @param words What stands after `rootfs`, the last one unfinished (perhaps empty).
 * @returns the candidates; none means that the shell should offer files.
 */
export async function complete(words: readonly string[]): Promise<string[]> {
  const { before, last } = apart(words);
  // What the shell takes for one word is completed as one.
  const start = /^--[^=]+=/.exec(words.at(-1) ?? '')?.[0] ?? '';
  const starts = (candidates: readonly string[]): string[] =>
    candidates
      .filter((one) => one.startsWith(last))
      .map((one) => start + one)
      .sort();
  const names = COMMANDS.map(({ name }) => name);
  const at = before.findIndex((word) => names.includes(word));
  const entry = COMMANDS.find(({ name }) => name === before[at]);
  const command = await entry?.load();
  const options = { ...command?.options, ...GLOBAL_OPTIONS };
  const ended = before.includes('--');
  const asking = ended ? undefined : takingValue(before.at(-1), options);
  if (asking !== undefined) return starts(asking.choices?.map(String) ?? []);
  if (last.startsWith('-') && !ended) {
    return starts(['--help', ...(entry === undefined ? ['--version'] : []), ...flags(options)]);
  }
  if (entry === undefined) return starts(names);
  const isFirst = before
    .slice(at + 1)
    .every((word, place, rest) => word.startsWith('-') || takingValue(rest[place - 1], options) !== undefined);
  return isFirst ? starts(FIRST_WORDS[entry.name] ?? []) : [];
}
