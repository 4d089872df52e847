/** What a container of an image runs: command, environment, directory and user, as engines work them out. */
import { posix } from 'node:path';
import { RootfsError } from '../errors.js';
import type { Image } from '../image/image.js';
import { requireConfig } from '../image/require-image.js';
import { type LayerTar, layersOf } from '../rootfs/merge.js';
import { requireLayers, requireTree } from '../rootfs/require-merged.js';
import type { MergedTree } from '../rootfs/tree.js';
import { readTreeFile } from './read-file.js';
import { resolveUser } from './resolve-user.js';

/** What is run instead of what the image says. */
export interface ProcessOptions {
  /** Instead of the image's `Cmd`; the entry point stays in front of it. */
  readonly args?: readonly string[] | undefined;
  /** Instead of the image's `Entrypoint`; the image's `Cmd` is dropped with it. Empty, or one empty text: none. */
  readonly entrypoint?: readonly string[] | undefined;
  /** `NAME=value`, over the image's; `NAME` alone takes it away. */
  readonly env?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  /** `user`, `uid`, `user:group` or `uid:gid`, instead of the image's. */
  readonly user?: string | undefined;
}

/** A process, ready to be started in the root file system. */
export interface ResolvedProcess {
  /** At least one element; not looked up in `PATH`. */
  readonly argv: readonly string[];
  /** `NAME=value`, each name once. `PATH` and `HOME` are there unless `env`, or the image's, takes them away. */
  readonly env: readonly string[];
  /** An absolute path inside the root; it need not be there. */
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the primary one first. */
  readonly additionalGids: readonly number[];
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** passwd and group are read up to this length, in bytes. */
const MAX_ACCOUNTS_BYTES = 8 * 1024 * 1024;

/**
 * Works out what a container of the image runs. Users and groups are looked up in the image's own `/etc/passwd` and
 * `/etc/group`, read through the tree: symbolic links never lead out of it.
 *
 * @param layers What the tree was made from, base first; absent: what `mergeLayers` was given.
 * @throws RootfsError `ERR_CONFIG_INVALID` (no command; a user id out of range), `ERR_NOT_FOUND` (a user or group that
 *   the image does not know), `ERR_OPTION_INVALID`, `ERR_LIMIT_EXCEEDED` (accounts of more than 8 MiB)
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md
 */
export function resolveProcess(
  image: Pick<Image, 'config'>,
  tree: MergedTree,
  layers?: readonly LayerTar[] | undefined,
  options: ProcessOptions = {},
): ResolvedProcess {
  checkTexts(options);
  requireConfig(image);
  requireTree(tree);
  const tars = (layers ?? layersOf(tree)) as readonly LayerTar[];
  requireLayers(tars);
  const config = image.config.value.config ?? {};
  const entrypoint = settleEntrypoint(options.entrypoint ?? config.Entrypoint);
  const args = options.args ?? (options.entrypoint === undefined ? (config.Cmd ?? []) : []);
  const argv = [...entrypoint, ...args];
  if (argv.length === 0 || argv[0] === '') {
    throw new RootfsError('ERR_CONFIG_INVALID', 'no command specified: the image names none; give one (args)');
  }
  const accounts = (name: string): string | undefined =>
    readTreeFile(tree, tars, `etc/${name}`, MAX_ACCOUNTS_BYTES)?.toString();
  const spec = options.user ?? config.User ?? '';
  const { uid, gid, additionalGids, home } = resolveUser(spec, accounts('passwd'), accounts('group'));
  const env = mergeEnv([`PATH=${DEFAULT_PATH}`, `HOME=${home}`], config.Env ?? [], options.env ?? []);
  // The specification wants the image's own word for word; only what is no absolute path has to become one.
  const given = options.cwd ?? config.WorkingDir ?? '';
  const cwd = options.cwd === undefined && given.startsWith('/') ? given : posix.resolve('/', given);
  refuseNul({ 'Entrypoint and Cmd': argv, Env: env, WorkingDir: [cwd] });
  return { argv, env, cwd, uid, gid, additionalGids };
}

/** An entry point of one empty text is none: so Dockerfiles take a base image's away, and engines read it. */
export function settleEntrypoint(entrypoint: readonly string[] = []): readonly string[] {
  return entrypoint.length === 1 && entrypoint[0] === '' ? [] : entrypoint;
}

function checkTexts({ args, entrypoint, env, cwd, user }: ProcessOptions): void {
  for (const [name, value] of Object.entries({ args, entrypoint, env })) {
    if (value !== undefined && !(Array.isArray(value) && value.every((one) => isText(one)))) {
      throw new RootfsError('ERR_OPTION_INVALID', `${name}: expected a list of texts without NUL`);
    }
  }
  const nameless = env?.find((entry) => entry === '' || entry.startsWith('='));
  if (nameless !== undefined) {
    throw new RootfsError('ERR_OPTION_INVALID', `env: ${JSON.stringify(nameless)} has no name; write NAME=value`);
  }
  for (const [name, value] of Object.entries({ cwd, user })) {
    if (value !== undefined && !isText(value)) {
      throw new RootfsError('ERR_OPTION_INVALID', `${name}: expected a text without NUL`);
    }
  }
}

/** Options were looked at before: what is left comes from the image. No process can be started with such texts. */
function refuseNul(texts: Readonly<Record<string, readonly string[]>>): void {
  for (const [name, values] of Object.entries(texts)) {
    const found = values.find((value) => value.includes('\0'));
    if (found === undefined) continue;
    throw new RootfsError(
      'ERR_CONFIG_INVALID',
      `image config, ${name}: expected texts without NUL, found ${JSON.stringify(found.slice(0, 100))}; give another value`,
      { detail: { field: name } },
    );
  }
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0');
}

/** Later lists win; each name keeps the place where it first stood. An entry without `=` takes the name away. */
function mergeEnv(...lists: readonly (readonly string[])[]): string[] {
  const values = new Map<string, string>();
  for (const entry of lists.flat()) {
    const equals = entry.indexOf('=');
    if (equals > 0) values.set(entry.slice(0, equals), entry);
    else if (equals < 0) values.delete(entry);
  }
  return [...values.values()];
}
