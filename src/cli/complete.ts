/** Completion: the words that may stand next on a command line, for the scripts of `rootfs completion`. */
import type { Command } from './command.js';
import { COMMANDS } from './commands.js';
import { GLOBAL_OPTIONS } from './options.js';

/** The words that a command's first argument can be, where there are only so many. */
const FIRST_WORDS: Readonly<Record<string, readonly string[]>> = {
  cache: ['ls', 'verify', 'prune'],
  completion: ['bash', 'zsh', 'fish'],
};

function flags(options: Command['options']): string[] {
  return Object.entries(options).flatMap(([name, option]) =>
    option.hidden === true
      ? []
      : option.type === 'boolean' && option.default === true
        ? [`--no-${name}`]
        : [`--${name}`],
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
  const entry = COMMANDS.find((one) => before.includes(one.name));
  const starts = (candidates: readonly string[]): string[] =>
    candidates
      .filter((one) => one.startsWith(last))
      .map((one) => start + one)
      .sort();
  if (entry === undefined) {
    if (last.startsWith('-')) return starts(['--help', '--version', ...flags(GLOBAL_OPTIONS)]);
    return starts(COMMANDS.map((one) => one.name));
  }
  const command = await entry.load();
  const options = { ...command.options, ...GLOBAL_OPTIONS };
  const previous = before.at(-1)?.replace(/^--/, '') ?? '';
  const choices = options[previous]?.choices;
  if (before.at(-1)?.startsWith('--') === true && Array.isArray(choices)) return starts(choices.map(String));
  if (last.startsWith('-')) return starts(['--help', ...flags(options)]);
  return starts(FIRST_WORDS[entry.name] ?? []);
}
