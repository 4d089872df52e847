/** Settings files in TOML: read when they are there, and asked for values of a known kind. */
import { RootfsError } from '../errors.js';
import { readOptionalFile } from './settings-file.js';

/** A table of a settings file, which knows the file for its errors. Keys keep the file's order. */
export class TomlTable {
  readonly path: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(path: string, values: Readonly<Record<string, unknown>>) {
    this.path = path;
    this.#values = values;
  }

  /** The keys of this table in the file's order. */
  keys(): readonly string[] {
    return Object.keys(this.#values);
  }

  /** The value as it is, or `undefined`. */
  value(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  /** @throws RootfsError `ERR_OPTION_INVALID` when it is something else */
  string(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.problem(`${key} is no string`);
  }

  /** @throws RootfsError `ERR_OPTION_INVALID` when it is something else */
  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw this.problem(`${key} is neither true nor false`);
  }

  /** A string alone counts as a list of one. @throws RootfsError `ERR_OPTION_INVALID` when it is something else */
  strings(key: string): readonly string[] {
    const value = this.value(key);
    const list: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
    if (list.every((item) => typeof item === 'string')) return list;
    throw this.problem(`${key} is no list of strings`);
  }

  /** @throws RootfsError `ERR_OPTION_INVALID` when it is something else */
  table(key: string): TomlTable | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (isTable(value)) return new TomlTable(this.path, value);
    throw this.problem(`${key} is no table`);
  }

  /** @throws RootfsError `ERR_OPTION_INVALID` when it is something else */
  tables(key: string): readonly TomlTable[] {
    const value = this.value(key);
    if (value === undefined) return [];
    if (Array.isArray(value) && value.every(isTable)) return value.map((item) => new TomlTable(this.path, item));
    throw this.problem(`${key} is no list of tables; write [[${key}]]`);
  }

  /** The error of a value that makes no sense here. It quotes no value: some are secrets. */
  problem(text: string): RootfsError {
    return new RootfsError('ERR_OPTION_INVALID', `${this.path}: ${text}; correct the file`, {
      detail: { path: this.path },
    });
  }
}

/** Of how many files the last text is remembered, and how long that may be, in characters. */
const MAX_PARSED = 20;
const MAX_PARSED_TEXT = 64 * 1024;

/** What files held when they were last read: they are read at each question, and parsed again where they changed. */
const parsed = new Map<string, { readonly text: string; readonly values: Readonly<Record<string, unknown>> }>();

/**
 * Reads a TOML file; `undefined` when it is not there. The parser is loaded only for a file that is.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` (not TOML; names file, line and column, and quotes nothing),
 * `ERR_PERMISSION`, `ERR_FILESYSTEM`, `ERR_LIMIT_EXCEEDED`
 */
export async function readTomlFile(path: string): Promise<TomlTable | undefined> {
  const text = await readOptionalFile(path);
  if (text === undefined) return undefined;
  const known = parsed.get(path);
  if (known?.text === text) return new TomlTable(path, known.values);
  const { parse, TomlError } = await import('smol-toml');
  try {
    const values = parse(text, { maxDepth: 32 });
    if (parsed.size >= MAX_PARSED) parsed.clear();
    if (text.length <= MAX_PARSED_TEXT) parsed.set(path, { text, values });
    return new TomlTable(path, values);
  } catch (error) {
    const place = error instanceof TomlError ? ` at line ${error.line}, column ${error.column}` : '';
    throw new TomlTable(path, {}).problem(`this is not TOML${place}`);
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
