/** What an engine hands to its verbs: the parts it replaces, and who hears of what happens. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import { wholeNumber } from '../io/whole-number.js';
import type { CredentialProvider } from '../registry/credentials.js';
import type { RegistryOptions } from '../registry/registry-options.js';
import type { AuthConfig } from './auth-config.js';
import { PART_TIMEOUT_MS } from './call-part.js';
import type { ImageConfigStore } from './image-config-store.js';
import type { MetadataStore } from './metadata-store.js';
import type { ReferenceStore } from './reference-store.js';
import type { RegistryResolver } from './registry-resolver.js';

/**
 * Hears what was done to an image, after it was done. What it throws or rejects with is told as a warning and changes
 * nothing; it is not waited for.
 *
 * @param id The reference as people write it: `debian:12`.
 * @param name The repository as people write it: `debian`.
 */
export type EventLogger = (id: string, name: string, action: 'pull' | 'push') => void | Promise<void>;

/** What the registry verbs take. Whatever is absent has a default that works. */
export interface RegistryConfig extends CallOptions {
  /** Headers of the engine's own requests, sent along to the registry itself. */
  readonly metaHeaders?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** One login. Absent: what this machine knows. Ignored where `credentials` is given. */
  readonly authConfig?: AuthConfig | undefined;
  /** Gives credentials; asked again when one is refused. */
  readonly credentials?: CredentialProvider | undefined;
  /** Which endpoints are asked. Default: this machine's configuration. */
  readonly registryResolver?: RegistryResolver | undefined;
  /** How the registry is spoken to; credentials, endpoints and headers are the fields above. */
  readonly registry?: Omit<RegistryOptions, 'credentials' | 'endpoints' | 'headers'> | undefined;
  /** The longest silence of a part, in milliseconds; ten times as long for the managers. Default 60,000. */
  readonly partTimeoutMs?: number | undefined;
}

/** What `pull` and `push` take both. */
export interface EngineConfig extends RegistryConfig {
  /** Hears of what was done. */
  readonly eventLogger?: EventLogger | undefined;
  /** In which repositories layers were seen. Without it nothing is mounted, and everything uploaded. */
  readonly metadataStore?: MetadataStore | undefined;
  /** Where image configs are kept. */
  readonly imageStore: ImageConfigStore;
  /** Which names images have. Without it nothing is tagged. */
  readonly referenceStore?: ReferenceStore | undefined;
}

/**
 * Checks what callers without a type checker hand in: that there is a config, with the parts a verb cannot do without,
 * and that what else is there is such a part. A part that comes last must not be found out after all layers.
 *
 * @param needed A method of each part that must be there, by the names of the fields.
 * @param optional The same of parts that may be left out, as undefined or null.
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function requireParts(
  config: RegistryConfig,
  needed: Readonly<Record<string, string>> = {},
  optional: Readonly<Record<string, string>> = {},
): void {
  if (typeof config !== 'object' || config === null) {
    throw partError('config', 'the parts of an engine', config, 'open them with openEngineStores');
  }
  for (const [field, method] of Object.entries({ ...needed, ...optional, registryResolver: 'resolveRepository' })) {
    const part = (config as Readonly<Record<string, unknown>>)[field] as Readonly<Record<string, unknown>> | null;
    if (typeof part?.[method] === 'function' || (part == null && !Object.hasOwn(needed, field))) continue;
    throw partError(field, `something with ${method}`, part, 'take that of openEngineStores, or give your own');
  }
}

/** Checks the types of configs. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireMediaTypes(option: string, types: unknown): void {
  const isType = (type: unknown): boolean => typeof type === 'string' && type.includes('/');
  if (Array.isArray(types) && types.every(isType)) return;
  const found = JSON.stringify(types);
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `${option}: ${found} cannot be used; give media types as in application/vnd.oci.image.config.v1+json`,
    { detail: { option } },
  );
}

/** The timeout of parts, checked. @throws RootfsError `ERR_OPTION_INVALID` */
export function partTimeout({ partTimeoutMs = PART_TIMEOUT_MS }: RegistryConfig): number {
  return wholeNumber('partTimeoutMs', partTimeoutMs, 1, 2 ** 27);
}
