/** Which command a line names, wherever its options stand. */
import { RootfsError } from '../index.js';
import { COMMANDS } from './commands.js';
import { nearest } from './nearest.js';
import { GLOBAL_OPTIONS } from './options.js';

/** A line, split: the command's name, and all other words in their order. */
export interface CommandLine {
  /** Absent where only help is asked for. */
  readonly name?: string | undefined;
  readonly words: readonly string[];
}

const isCommand = (word: string): boolean => COMMANDS.some(({ name }) => name === word);

/** What commands of crane, skopeo, umoci, regctl, oras, podman and docker are called here. */
const FROM_PEERS: ReadonlyMap<string, string> = new Map([
  ['ls', 'tags'],
  ['list', 'tags'],
  ['list-tags', 'tags'],
  ['catalog', 'repos'],
  ['cp', 'copy'],
  ['sync', 'copy'],
  ['load', 'copy'],
  ['import', 'copy'],
  ['save', 'pull'],
  ['export', 'flatten'],
  ['raw', 'unpack'],
  ['run', 'bundle'],
  ['images', 'cache'],
  ['prune', 'cache prune'],
  ['gc', 'cache prune'],
  ['rm', 'delete'],
  ['rmi', 'delete'],
  ['untag', 'delete'],
  ['auth', 'login'],
  ['resolve', 'digest'],
  ['discover', 'referrers'],
  ['history', 'inspect'],
  ['info', 'inspect'],
  ['layers', 'inspect'],
  ['stat', 'inspect'],
  ['verify', 'validate'],
  ['image ls', 'cache ls'],
  ['repo ls', 'repos'],
]);

/** Words before a command's name elsewhere, as in `docker image inspect`. */
const GROUPS: readonly string[] = ['image', 'registry', 'repo', 'system'];

/** What is meant by the words of another tool. */
function fromPeers(word: string, next: string): string | undefined {
  if (!GROUPS.includes(word)) return FROM_PEERS.get(word);
  return FROM_PEERS.get(`${word} ${next}`) ?? (isCommand(next) ? next : FROM_PEERS.get(next));
}

/** Spelt like a command that does the opposite. */
const NOT_HERE: readonly string[] = ['repack'];

/** Whether the word after this one is its value. */
function takesNext(word: string): boolean {
  const name = word.startsWith('--') ? word.slice(2) : '';
  // Every object has a `constructor`; the table has none.
  return Object.hasOwn(GLOBAL_OPTIONS, name) && GLOBAL_OPTIONS[name]?.type !== 'boolean';
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h';
}

/**
 * Finds the command. `rootfs help COMMAND` is `rootfs COMMAND --help`; an option may stand before the command.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (no command, or none of that name)
 */
export function findCommand(argv: readonly string[]): CommandLine {
  const first = argv.findIndex((word, at) => !word.startsWith('-') && (at === 0 || !takesNext(argv[at - 1] ?? '')));
  const word = argv[first];
  if (word === undefined) {
    if (argv.some(isHelp)) return { words: ['--help'] };
    const meant = argv[0] === '-v' ? '--version' : nearest(argv[0] ?? '', ['--version', '--help']);
    const hint = meant === undefined ? '' : `, did you mean ${meant}?`;
    throw new RootfsError('ERR_OPTION_INVALID', `no command given${hint}; see rootfs --help`);
  }
  if (word === 'help') {
    const about = argv.slice(first + 1).filter((one, at, all) => !one.startsWith('-') && !takesNext(all[at - 1] ?? ''));
    return { name: about.length > 0 ? findCommand(about).name : undefined, words: ['--help'] };
  }
  // `--dst DIR extract`: the word before the command is an option's value.
  const isValue = !isCommand(word) && /^-[^=]*$/.test(argv[first - 1] ?? '');
  const at = isValue ? argv.findIndex((one, place) => place > first && isCommand(one)) : first;
  const name = argv[at] ?? word;
  if (isCommand(name)) {
    const before = argv.slice(0, Math.max(at, 0)).filter((one) => one !== '--');
    return { name, words: [...before, ...argv.slice(at + 1)] };
  }
  const near = NOT_HERE.includes(word) ? undefined : nearest(word, [...COMMANDS.map((one) => one.name), 'help']);
  const meant = fromPeers(word, argv[first + 1] ?? '') ?? near;
  const guess = meant === undefined ? '' : `, did you mean ${meant}?`;
  throw new RootfsError('ERR_OPTION_INVALID', `unknown command ${JSON.stringify(word)}${guess}; see rootfs --help`);
}
