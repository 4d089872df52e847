/**
 * The containers tools' `registries.conf`: which names are blocked, moved, mirrored or spoken to without proof.
 *
 * @see https://github.com/containers/image/blob/v5.36.0/docs/containers-registries.conf.5.md
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import { trimSlashes } from './credential-key.js';
import { environmentValue } from './settings-file.js';
import { readTomlFile, TomlTable } from './toml-file.js';

/** One `[[registry.mirror]]`. `pullFrom`: which references it is for. */
export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean | undefined;
  readonly pullFrom: 'all' | 'digest-only' | 'tag-only';
}

/** One `[[registry]]`: what holds for the names that start with `prefix`. */
export interface RegistryRule {
  readonly prefix: string;
  /** What replaces the prefix; `undefined`: the name stays as it is. */
  readonly location: string | undefined;
  readonly insecure: boolean | undefined;
  readonly blocked: boolean;
  readonly mirrors: readonly MirrorRule[];
  /** The file it stands in. */
  readonly path: string;
}

/** Where `registries.conf` is looked for. */
export interface RegistriesConfPlaces {
  /** This file, and no other main file; its absence is an error. */
  readonly named: string | undefined;
  /** Main files, the user's before the system's: the first that is there is read. */
  readonly files: readonly string[];
  /** Folders of further files, the system's before the user's. A user's main file rules out the system's folder. */
  readonly folders: readonly string[];
}

/** What a file of the new form may hold, and one of the old form may not. */
const NEW_KEYS = ['registry', 'unqualified-search-registries', 'credential-helpers', 'short-name-mode', 'aliases'];
const PULLS = ['all', 'digest-only', 'tag-only'] as const;
const HOST = String.raw`(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?`;
const PATH = '(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*';
const LOCATION = new RegExp(`^${HOST}${PATH}$`);
const PREFIX = new RegExp(
  String.raw`^(?:\*(?:\.[A-Za-z0-9_-]+)+|${HOST}${PATH}(?::[\w][\w.-]{0,127}|@[a-z0-9+._-]+:[a-zA-Z0-9=_-]+)?)$`,
);

/** The places of this machine and this user. */
export function registriesConfPlaces(env: NodeJS.ProcessEnv, home: string): RegistriesConfPlaces {
  const user = join(environmentValue(env, 'XDG_CONFIG_HOME') ?? join(home, '.config'), 'containers');
  return {
    named: environmentValue(env, 'CONTAINERS_REGISTRIES_CONF'),
    files: [join(user, 'registries.conf'), '/etc/containers/registries.conf'],
    folders: ['/etc/containers/registries.conf.d', join(user, 'registries.conf.d')],
  };
}

/**
 * Reads the rules that hold, from the main file and the further files; of two rules for one prefix the later file's
 * is kept.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` with the path, `ERR_NOT_FOUND`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function readRegistriesConf(places: RegistriesConfPlaces): Promise<readonly RegistryRule[]> {
  const rules = new Map<string, RegistryRule>();
  for (const path of listFiles(places)) {
    const own = new Map<string, RegistryRule>();
    for (const rule of await readRules(path, path === places.named)) {
      if (!own.has(rule.prefix)) own.set(rule.prefix, rule);
    }
    for (const rule of own.values()) rules.set(rule.prefix, rule);
  }
  return [...rules.values()];
}

/** The rule with the longest prefix of a name; `name` is `host/repository`, `reference` its tag or digest. */
export function matchRule(
  rules: readonly RegistryRule[],
  name: string,
  reference: string | undefined,
): RegistryRule | undefined {
  let best: RegistryRule | undefined;
  for (const rule of rules) {
    if (matchedLength(rule.prefix, name, reference) !== undefined && rule.prefix.length > (best?.prefix.length ?? 0)) {
      best = rule;
    }
  }
  return best;
}

/**
 * The name that a rule's location (its own or a mirror's) makes of `name`. A wildcard says nothing of the port: a
 * location that is a host alone takes it over.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` for a host alone in the place of a whole name
 */
export function relocate(rule: RegistryRule, location: string, name: string): string {
  const rest = name.slice(matchedLength(rule.prefix, name, undefined) ?? name.length);
  const moved = `${location}${/[:/]/.test(location) ? rest.replace(/^:[0-9]+/, '') : rest}`;
  if (moved.includes('/')) return moved;
  const problem = `the location ${quoted(location)} names no repository, and stands for all of ${rule.prefix}`;
  throw new TomlTable(rule.path, {}).problem(problem);
}

function matchedLength(prefix: string, name: string, reference: string | undefined): number | undefined {
  if (prefix.startsWith('*.')) {
    const slash = name.indexOf('/');
    const host = slash < 0 ? name : name.slice(0, slash);
    const bare = host.replace(/:[0-9]+$/, '');
    return bare.endsWith(prefix.slice(1)) && bare.length > prefix.length - 1 ? bare.length : undefined;
  }
  if (name === prefix || name.startsWith(`${prefix}/`)) return prefix.length;
  const full = reference === undefined ? name : `${name}${reference.includes(':') ? '@' : ':'}${reference}`;
  return full === prefix ? name.length : undefined;
}

function listFiles({ named, files, folders }: RegistriesConfPlaces): readonly string[] {
  if (named !== undefined) return [named, ...listFolders(folders)];
  const [user, ...system] = files;
  if (user !== undefined && isThere(user)) return [user, ...listFolders(folders.slice(-1))];
  return [...system, ...listFolders(folders)];
}

function listFolders(folders: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const folder of folders) {
    try {
      const names = readdirSync(folder);
      found.push(
        ...names
          .filter((name) => name.endsWith('.conf'))
          .sort()
          .map((name) => join(folder, name)),
      );
    } catch (error) {
      const errno = systemErrorCode(error);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR' && !(errno === 'EACCES' && !isThere(folder))) {
        throw wrapSystemError(error, folder);
      }
    }
  }
  return found;
}

function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function readRules(path: string, named: boolean): Promise<readonly RegistryRule[]> {
  const file = await readTomlFile(path);
  if (file === undefined) {
    if (!named) return [];
    throw new RootfsError(
      'ERR_NOT_FOUND',
      `${path}: no such file, but CONTAINERS_REGISTRIES_CONF names it; correct it`,
      {
        detail: { path },
      },
    );
  }
  const old = file.table('registries');
  const registries = file.tables('registry');
  if (old === undefined) return withoutConflicts(registries.map(readRule), file);
  if (NEW_KEYS.some((key) => file.value(key) !== undefined))
    throw file.problem('the old form ([registries.…]) and the new one ([[registry]]) are mixed');
  return readOldRules(old);
}

/** Several tables may speak of one place; what they say of it is then the same. */
function withoutConflicts(rules: readonly RegistryRule[], file: TomlTable): readonly RegistryRule[] {
  const first = new Map<string, RegistryRule>();
  for (const rule of rules) {
    const place = rule.location ?? rule.prefix;
    const other = first.get(place) ?? rule;
    first.set(place, other);
    for (const setting of ['insecure', 'blocked'] as const) {
      if ((rule[setting] ?? false) !== (other[setting] ?? false))
        throw file.problem(`two [[registry]] of ${quoted(place)} say different things about ${setting}`);
    }
  }
  return rules;
}

function readRule(table: TomlTable): RegistryRule {
  const written = trimSlashes(table.string('prefix') ?? '');
  const location = trimSlashes(table.string('location') ?? '');
  const prefix = written === '' ? location : written;
  if (prefix === '') throw table.problem('a [[registry]] has neither prefix nor location');
  if (location === '' && !prefix.startsWith('*.')) {
    throw table.problem(`the [[registry]] of ${quoted(prefix)} has no location`);
  }
  checkPrefix(prefix, table);
  if (table.value('pull-from-mirror') !== undefined)
    throw table.problem(`pull-from-mirror is for a mirror, and the [[registry]] of ${quoted(prefix)} has one`);
  // Without a prefix the location only names what the table is about.
  const moved = written === '' || location === prefix || location === '' ? undefined : checkLocation(location, table);
  const digestOnly = table.boolean('mirror-by-digest-only') ?? false;
  return {
    prefix,
    location: moved,
    insecure: table.boolean('insecure'),
    blocked: table.boolean('blocked') ?? false,
    mirrors: table.tables('mirror').map((mirror) => readMirror(mirror, digestOnly)),
    path: table.path,
  };
}

function readMirror(table: TomlTable, digestOnly: boolean): MirrorRule {
  const pull = table.string('pull-from-mirror') ?? '';
  const pullFrom = PULLS.find((known) => known === (pull === '' ? 'all' : pull));
  if (pullFrom === undefined) {
    throw table.problem('pull-from-mirror is all, digest-only or tag-only, and one is something else');
  }
  if (digestOnly && pull !== '') throw table.problem('pull-from-mirror and mirror-by-digest-only exclude each other');
  const location = checkLocation(trimSlashes(table.string('location') ?? ''), table);
  return { location, insecure: table.boolean('insecure'), pullFrom: digestOnly ? 'digest-only' : pullFrom };
}

function readOldRules(table: TomlTable): readonly RegistryRule[] {
  const list = (name: string): ReadonlySet<string> => {
    const found = (table.table(name)?.strings('registries') ?? []).map(trimSlashes);
    return new Set(found.map((prefix) => checkPrefix(prefix, table)));
  };
  const insecure = list('insecure');
  const blocked = list('block');
  return [...new Set([...insecure, ...blocked])].map((prefix) => ({
    prefix,
    location: undefined,
    insecure: insecure.has(prefix) ? true : undefined,
    blocked: blocked.has(prefix),
    mirrors: [],
    path: table.path,
  }));
}

function checkPrefix(prefix: string, table: TomlTable): string {
  if (PREFIX.test(prefix)) return prefix;
  throw table.problem(`${quoted(prefix)} is no prefix; expected host[:port][/path]`);
}

function checkLocation(location: string, table: TomlTable): string {
  if (LOCATION.test(location)) return location;
  throw table.problem(`${quoted(location)} is no location; expected host[:port][/path], without scheme or tag`);
}

/** A name for a message; one that may hold a password, as a URL does, is not shown. */
function quoted(name: string): string {
  return /^[\w.*:/[\]-]{1,300}$/.test(name) ? JSON.stringify(name) : '(not shown)';
}
