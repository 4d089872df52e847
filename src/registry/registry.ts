/** A registry as a whole: its repositories, and the way to each. */
import type { CallOptions, Catalog } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { parseReference } from '../spec/reference.js';
import { withoutUser } from '../spec/without-user.js';
import { listNames } from './paged-list.js';
import { type RegistryOptions, registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';
import { RegistryRepository } from './repository.js';
import { CATALOG_SCOPE } from './scopes.js';

/**
 * Opens a registry by its host: `localhost:5000`, `ghcr.io`. Nothing is asked of it yet.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID` for something that is no host, `ERR_OPTION_INVALID`
 */
export function createRegistry(host: string, options: RegistryOptions = {}): Registry {
  return new Registry(checkedHost(host), options);
}

/** One registry. Made by `createRegistry`. */
export class Registry implements Catalog {
  /** Host and, where one was given, port. */
  readonly host: string;
  readonly #options: RegistryOptions;
  readonly #session: RegistrySession;

  constructor(host: string, options: RegistryOptions) {
    this.host = host;
    this.#options = options;
    this.#session = new RegistrySession(host, '', registrySettings(options));
  }

  /** Opens one of its repositories, with the same options. @throws RootfsError `ERR_REFERENCE_INVALID` */
  repository(name: string): RegistryRepository {
    const { registry, repository } = parseReference(`${this.host}/${name}`);
    return new RegistryRepository(registry, repository, this.#options);
  }

  /**
   * The names of its repositories, in the registry's order, each once. Many public registries do not tell.
   *
   * @throws RegistryError `ERR_UNAUTHORIZED`, `ERR_DENIED`, `ERR_NOT_FOUND`, `ERR_UNSUPPORTED`; RootfsError as
   * `RegistryRepository.resolve`
   */
  repositories(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    const subject = { kind: 'catalog', registry: this.host, repository: this.host, name: this.host } as const;
    return listNames(
      this.#session,
      'repositories',
      { path: () => '_catalog', scopes: () => [CATALOG_SCOPE], subject },
      options,
    );
  }
}

function checkedHost(host: string): string {
  try {
    // Two parts: Docker Hub puts a name of one under library/, and then "library" would be Docker Hub itself.
    const { registry, repository } = parseReference(`${host}/x/y`);
    if (repository === 'x/y') return registry;
  } catch {
    // told below, in words that fit a host
  }
  const shown = withoutUser(String(host)).slice(0, 200);
  throw new RootfsError(
    'ERR_REFERENCE_INVALID',
    `${JSON.stringify(shown)} is not a registry; expected a host with an optional port, as in localhost:5000 or ghcr.io`,
    { detail: { host: shown } },
  );
}
