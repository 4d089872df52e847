/**
 * Reads the words of one command before yargs does, and refuses what yargs would guess at: an option without its value,
 * a value that a switch cannot have, a word too many. What it returns can be read in one way only.
 */
import type { Options } from 'yargs';
import { RootfsError } from '../index.js';
import type { Command } from './command.js';
import { nearest } from './nearest.js';
import { GLOBAL_OPTIONS } from './options.js';
import { fromPeers } from './peer-options.js';

interface Known {
  readonly name: string;
  readonly option: Options;
  /** `--no-NAME` of a switch. */
  readonly negated: boolean;
}

/**
 * Checks the words behind the command's name.
 *
 * @returns the same, the positional words first, every option as `--name=value`
 * @throws RootfsError `ERR_OPTION_INVALID`, with what is wrong first and where to look last
 */
export function checkWords(command: Command, name: string, words: readonly string[]): string[] {
  if (words.some((word) => word === '--help' || word === '-h')) return ['--help'];
  return new WordReader(command, name).read(words);
}

class WordReader {
  readonly #command: Command;
  readonly #name: string;
  readonly #options: Readonly<Record<string, Options>>;
  readonly #given = new Map<string, string[]>();
  readonly #plain: string[] = [];

  constructor(command: Command, name: string) {
    this.#command = command;
    this.#name = name;
    this.#options = { ...command.options, ...GLOBAL_OPTIONS };
  }

  read(words: readonly string[]): string[] {
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
    this.#checkAll();
    const given = [...this.#given].flatMap(([name, values]) => values.map((value) => this.#write(name, value)));
    return [...this.#plain, ...given];
  }

  /** yargs knows `--no-NAME` as the way to turn off an option that otherwise takes a value. */
  #write(name: string, value: string): string {
    return value === 'false' && this.#options[`no-${name}`] !== undefined ? `--no-${name}` : `--${name}=${value}`;
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
    this.#fail(`unknown option ${shown}${this.#hint(name)}`);
  }

  /** What was probably meant by an option that is not there: another tool's word first, then what is spelt alike. */
  #hint(name: string): string {
    const names = Object.keys(this.#options);
    const all = [...names, ...names.filter((one) => this.#options[one]?.type === 'boolean').map((one) => `no-${one}`)];
    const peers = fromPeers(name, all);
    const near = peers.length === 0 && name.length > 1 ? nearest(name, all) : undefined;
    const meant = near === undefined ? peers : [near];
    return meant.length === 0 ? '' : `, did you mean ${meant.map((one) => `--${one}`).join(' or ')}?`;
  }

  #takeShort(word: string, rest: string[]): void {
    for (let at = 1; at < word.length; at += 1) {
      const letter = word.charAt(at);
      const name = Object.keys(this.#options).find((one) => [this.#options[one]?.alias].flat().includes(letter));
      const option = name === undefined ? undefined : this.#options[name];
      if (name === undefined || option === undefined)
        this.#fail(`unknown option -${letter}${word.length > 2 ? ` in ${word}` : this.#hint(letter)}`);
      const behind = word.slice(at + 1);
      if (option.type === 'boolean' && !behind.startsWith('=')) {
        this.#put(name, option, `-${letter}`, 'true');
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
      this.#put(name, option, shown, String((value === 'true') !== negated));
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

  #put(name: string, option: Options, shown: string, value: string): void {
    const before = this.#given.get(name);
    const many = option.array === true || option.type === 'array';
    if (before === undefined || (option.type === 'boolean' && before[0] === value)) this.#given.set(name, [value]);
    else if (many) before.push(value);
    else if (option.type === 'boolean' || before[0] === 'false') {
      this.#fail(`${shown} contradicts --${before[0] === 'false' ? 'no-' : ''}${name}; give one of them`);
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
