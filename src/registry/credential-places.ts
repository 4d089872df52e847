/** Where credentials are looked for, in order, and where a login is written. It knows the environment, no content. */
import { join } from 'node:path';
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import { systemHome } from '../io/system-home.js';
import { environmentValue } from './settings-file.js';

/** What decides where credentials are kept. All of it is the process's own unless given. */
export interface CredentialPlaceOptions {
  /** Only this file is used, whatever the environment says. */
  readonly authFile?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** The home folder; default `HOME` of `env`, else the system's answer. */
  readonly home?: string | undefined;
  /** The user's number, for `/run/containers/<uid>/auth.json`. */
  readonly uid?: number | undefined;
  readonly platform?: NodeJS.Platform | undefined;
}

/** One place: a text given in the environment, or a file. `required`: somebody named it, so absence is an error. */
export type CredentialPlace =
  | { readonly kind: 'text'; readonly source: string; readonly text: string }
  | { readonly kind: 'file'; readonly source: string; readonly path: string; readonly required: boolean };

/** What people are told of the source of what stands in an auth file's text in the environment. */
export const TEXT_SOURCE = 'DOCKER_AUTH_CONFIG';

/** Checks what was given. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkCredentialPlaces({ authFile }: CredentialPlaceOptions): void {
  if (authFile !== undefined && typeof authFile !== 'string') {
    throw partError('authFile', 'a path', authFile, 'name a file or leave the option out');
  }
  if (authFile !== '') return;
  throw new RootfsError('ERR_OPTION_INVALID', 'authFile: "" is not a path; name a file or leave the option out', {
    detail: { option: 'authFile' },
  });
}

/** The places to search, in order; each path once. */
export function credentialPlaces(options: CredentialPlaceOptions): readonly CredentialPlace[] {
  if (options.authFile !== undefined) return [file(options.authFile, true)];
  const env = options.env ?? process.env;
  const home = homeFolder(options);
  const places: CredentialPlace[] = [];
  const text = environmentValue(env, 'DOCKER_AUTH_CONFIG');
  if (text !== undefined) places.push({ kind: 'text', source: TEXT_SOURCE, text });
  const paths = [environmentValue(env, 'REGISTRY_AUTH_FILE')];
  const runtime = environmentValue(env, 'XDG_RUNTIME_DIR');
  if (runtime !== undefined) paths.push(join(runtime, 'containers/auth.json'));
  else if ((options.platform ?? process.platform) === 'linux') {
    const uid = options.uid ?? process.getuid?.();
    if (uid !== undefined) paths.push(`/run/containers/${uid}/auth.json`);
  }
  paths.push(join(environmentValue(env, 'XDG_CONFIG_HOME') ?? join(home, '.config'), 'containers/auth.json'));
  paths.push(dockerConfig(env, home));
  const files = new Set(paths.filter((path) => path !== undefined));
  return [...places, ...[...files].map((path) => file(path, false))];
}

/** The file that a login is written to: `authFile`, else `REGISTRY_AUTH_FILE`, else Docker's `config.json`. */
export function loginFile(options: CredentialPlaceOptions): string {
  const env = options.env ?? process.env;
  return options.authFile ?? environmentValue(env, 'REGISTRY_AUTH_FILE') ?? dockerConfig(env, homeFolder(options));
}

/** The home folder these options mean. */
export function homeFolder(options: Pick<CredentialPlaceOptions, 'env' | 'home'>): string {
  return options.home ?? environmentValue(options.env ?? process.env, 'HOME') ?? systemHome();
}

function dockerConfig(env: NodeJS.ProcessEnv, home: string): string {
  return join(environmentValue(env, 'DOCKER_CONFIG') ?? join(home, '.docker'), 'config.json');
}

function file(path: string, required: boolean): CredentialPlace {
  return { kind: 'file', source: path, path, required };
}
