/**
 * Reads the words of one command. What yargs would guess at is refused: an option without its value, a value that a
 * switch cannot have, a word too many. yargs lays out the help; to load it for every command takes longer than most
 * command lines are worth.
 */
import type { Options } from 'yargs';
import { RootfsError } from '../index.js';
import type { Arguments, Command } from './command.js';
import { nearest } from './nearest.js';
import { GLOBAL_OPTIONS } from './options.js';
import { commandFromPeers, fromPeers } from './peer-options.js';
import { refuseOtherBytes } from './refuse-other-bytes.js';

interface Known {
  readonly name: string;
  readonly option: Options;
  /** `--no-NAME` of a switch. */
  readonly negated: boolean;
}

/**
 * Reads the words behind the command's name.
 *
 * @returns what was given or stands as default, by name; `undefined` where help was asked for
 * @throws RootfsError `ERR_OPTION_INVALID`, with what is wrong first and where to look last
 */
export function readWords(command: Command, name: string, words: readonly string[]): Arguments | undefined {
  if (words.some((word) => word === '--help' || word === '-h')) return undefined;
  refuseOtherBytes(words);
  return new WordReader(command, name).read(words);
}

class WordReader {
  readonly #command: Command;
  readonly #name: string;
  readonly #options: Readonly<Record<string, Options>>;
  /** Switches, and options that `--no-NAME` turned off, are true or false; all others stand as they were written. */
  readonly #given = new Map<string, (string | boolean)[]>();
  readonly #plain: string[] = [];
  /** `-h` stood among other letters. */
  #help = false;

  constructor(command: Command, name: string) {
    this.#command = command;
    this.#name = name;
    this.#options = { ...command.options, ...GLOBAL_OPTIONS };
  }

  read(words: readonly string[]): Arguments | undefined {
    const rest = [...words];
    for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
      if (word === '--') {
        this.#plain.push(...rest.splice(0));
      } else if (word.startsWith('--')) {
        const equals = word.indexOf('=');
        const shown = equals < 0 ? word : word.slice(0, equals);
        this.#take(shown, this.#known(shown.slice(2), shown), equals < 0 ? undefined : word.slice(equals + 1), rest);
      } else if (word.startsWith('-') && word !== '-') this.#takeShort(word, rest);
      else this.#plain.push(word);
    }
    if (this.#help) return undefined;
    this.#checkAll();
    const args: Record<string, unknown> = {};
    for (const [name, { default: value }] of Object.entries(this.#options)) {
      if (value !== undefined) args[name] = value;
    }
    for (const [name, values] of this.#given) args[name] = this.#value(name, values);
    this.#command.positionals.forEach(({ name }, at) => {
      if (this.#plain[at] !== undefined) args[name] = this.#plain[at];
    });
    return args;
  }

  #value(name: string, values: readonly (string | boolean)[]): unknown {
    const option = this.#options[name];
    if (option?.array === true) return values;
    return option?.type === 'number' ? Number(values[0]) : values[0];
  }

  #fail(message: string): never {
    throw new RootfsError('ERR_OPTION_INVALID', `${message}; see rootfs ${this.#name} --help`);
  }

  #known(name: string, shown: string): Known {
    const find = (one: string): Options | undefined =>
      Object.hasOwn(this.#options, one) ? this.#options[one] : undefined;
    const option = find(name);
    // `no-store` may stand in the table for help's sake; it is the negation of `store` there too.
    if (option !== undefined && !name.startsWith('no-')) return { name, option, negated: false };
    const plain = name.startsWith('no-') ? name.slice(3) : undefined;
    const positive = plain === undefined ? undefined : find(plain);
    if (plain !== undefined && (option !== undefined || positive?.type === 'boolean')) {
      return { name: plain, option: { type: 'boolean' }, negated: true };
    }
    this.#fail(name === 'help' ? `${shown} takes no value` : `unknown option ${shown}${this.#hint(name)}`);
  }

  /** What was probably meant by an option that is not there: another tool's word first, then what is spelt alike. */
  #hint(name: string): string {
    const names = Object.keys(this.#options);
    const all = [...names, ...names.filter((one) => this.#options[one]?.type === 'boolean').map((one) => `no-${one}`)];
    const command = commandFromPeers(name, this.#name);
    if (command !== undefined) return `, did you mean rootfs ${command}?`;
    const near = name.length > 1 ? nearest(name, all) : undefined;
    const meant = fromPeers(name, all, this.#name) ?? (near === undefined ? [] : [near]);
    return meant.length === 0 ? '' : `, did you mean ${meant.map((one) => `--${one}`).join(' or ')}?`;
  }

  #takeShort(word: string, rest: string[]): void {
    for (let at = 1; at < word.length; at += 1) {
      const letter = word.charAt(at);
      const name = Object.keys(this.#options).find((one) => [this.#options[one]?.alias].flat().includes(letter));
      const option = name === undefined ? undefined : this.#options[name];
      if (option === undefined && letter === 'h') {
        this.#help = true;
        continue;
      }
      if (name === undefined || option === undefined)
        this.#fail(`unknown option -${letter}${word.length > 2 ? ` in ${word}` : this.#hint(letter)}`);
      const behind = word.slice(at + 1);
      if (option.type === 'boolean' && !behind.startsWith('=')) {
        this.#put(name, option, `-${letter}`, true);
        continue;
      }
      const value = behind === '' ? undefined : behind.replace(/^=/, '');
      this.#take(`-${letter}`, { name, option, negated: false }, value, rest);
      return;
    }
  }

  #take(shown: string, { name, option, negated }: Known, value: string | undefined, rest: string[]): void {
    if (option.type === 'boolean') {
      if (value === undefined && (rest[0] === 'true' || rest[0] === 'false')) value = rest.shift();
      value ??= 'true';
      if (value !== 'true' && value !== 'false') {
        this.#fail(`${shown} is a switch: true or false, not ${JSON.stringify(value)}`);
      }
      this.#put(name, option, value === 'true' ? shown : `${shown}=false`, (value === 'true') !== negated);
      return;
    }
    const next = rest[0];
    if (value === undefined && next !== undefined && (next === '-' || !/^-(?:-|[a-z])/i.test(next)))
      value = rest.shift();
    if (value === undefined || value === '') this.#fail(`${shown} needs a value`);
    const choices = option.choices?.map(String);
    if (choices?.includes(value) === false) {
      this.#fail(`${shown}: ${JSON.stringify(value)} cannot be chosen; choose ${choices.join(', ')}`);
    }
    if (option.type === 'number' && !/^[+-]?\d+(?:\.\d+)?$/.test(value)) {
      this.#fail(`${shown}: ${JSON.stringify(value)} is not a number`);
    }
    this.#put(name, option, shown, value);
  }

  #put(name: string, option: Options, shown: string, value: string | boolean): void {
    const before = this.#given.get(name);
    if (before === undefined || (typeof value === 'boolean' && before[0] === value)) this.#given.set(name, [value]);
    else if (option.array === true) before.push(value);
    else if (typeof value === 'boolean' || before[0] === false) {
      this.#fail(`${shown} contradicts --${before[0] === false ? 'no-' : ''}${name}; give one of them`);
    } else this.#fail(`${shown} was given more than once; give it once`);
  }

  #checkAll(): void {
    for (const [name, option] of Object.entries(this.#options)) {
      if (option.demandOption === true && !this.#given.has(name)) this.#fail(`${this.#name}: --${name} is missing`);
    }
    const { positionals } = this.#command;
    const odd = this.#plain.find((word) => word.startsWith('-') && word !== '-');
    if (odd !== undefined) this.#fail(`${JSON.stringify(odd)} stands where a plain word belongs`);
    if (this.#plain.includes('-')) {
      this.#fail('"-" does not say what stdin or stdout holds; name it, as in docker-archive:- or oci-archive:-');
    }
    const extra = this.#plain[positionals.length];
    if (extra !== undefined) {
      const takes = positionals.map((one) => one.name.toUpperCase()).join(' ');
      this.#fail(`unexpected ${JSON.stringify(extra)}: ${this.#name} takes ${takes === '' ? 'options only' : takes}`);
    }
    positionals.forEach((one, at) => {
      if (one.required && (this.#plain[at] ?? '') === '') {
        this.#fail(`${this.#name}: ${one.name.toUpperCase()} is missing`);
      }
    });
  }
}
