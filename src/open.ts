/**
 * From text to a source: the composition root, where registries, folders and archives are put together.
 *
 * It knows every kind of source by its prefix and opens it with its defaults; it holds no logic of its own. What a
 * source needs is loaded only when that kind is asked for.
 */
import { lstat } from 'node:fs/promises';
import type { CallOptions, ReadOnlyTarget } from './content/content.js';
import { RootfsError } from './errors.js';
import type { ExplicitCredential } from './registry/credential-search.js';
import type { Credential, CredentialProvider } from './registry/credentials.js';
import type { RegistryOptions } from './registry/registry-options.js';
import { isDigest } from './spec/digest.js';
import { formatReference, parseReference } from './spec/reference.js';

/** How a source is opened. What concerns a registry is ignored for a local source. */
export interface OpenOptions extends RegistryOptions, CallOptions {
  /** Who we are: before anything that is found in files. Ignored where `credentials` is given. */
  readonly credential?: Credential | undefined;
  /** Auth file to read before any other. Ignored where `credentials` is given. */
  readonly authFile?: string | undefined;
  /** `false`: no credentials are looked for in files or helpers. Default true. */
  readonly findCredentials?: boolean | undefined;
  /** `false`: mirrors and certificates configured on this machine are not looked for. Default true. */
  readonly findEndpoints?: boolean | undefined;
}

/** An opened source: where to read, and the reference to ask it for. The caller closes it. */
export interface OpenedSource {
  readonly source: ReadOnlyTarget;
  /** In the source's own dialect: what `fetchImage` and `resolve` take. */
  readonly reference: string;
  /** What was asked for, written out in full, for people. */
  readonly name: string;
  /** The kind of source: the prefix, without its colon. */
  readonly transport: Transport;
  close(): Promise<void>;
}

/** The kinds of sources, by the prefix that names them. `docker` is a registry. */
export type Transport = 'docker' | 'oci' | 'oci-archive' | 'docker-archive' | 'docker-daemon' | 'dir';

const TRANSPORTS: ReadonlySet<string> = new Set([
  'docker',
  'oci',
  'oci-archive',
  'docker-archive',
  'docker-daemon',
  'dir',
]);

/** Splits `transport:rest`; text without a known transport is a registry reference. */
export function splitTransport(text: string): { readonly transport: Transport; readonly rest: string } {
  const colon = text.indexOf(':');
  const transport = text.slice(0, colon);
  if (colon < 1 || !TRANSPORTS.has(transport)) return { transport: 'docker', rest: text };
  const rest = text.slice(colon + 1);
  if (transport !== 'docker') return { transport: transport as Transport, rest };
  // docker:5000/x is a host named docker; only docker:// is the prefix.
  return { transport: 'docker', rest: rest.startsWith('//') ? rest.slice(2) : text };
}

/** Splits `path[:reference]` or `path@digest`; a path that exists as it stands has no reference. */
async function splitPath(text: string): Promise<{ path: string; reference: string | undefined }> {
  const at = text.lastIndexOf('@');
  if (at > 0 && isDigest(text.slice(at + 1))) return { path: text.slice(0, at), reference: text.slice(at + 1) };
  const colon = text.indexOf(':');
  if (colon < 0) return { path: text, reference: undefined };
  const whole = await lstat(text).catch(() => undefined);
  return whole === undefined
    ? { path: text.slice(0, colon), reference: text.slice(colon + 1) }
    : { path: text, reference: undefined };
}

function explicit(host: string, credential: Credential | undefined): ExplicitCredential[] {
  return credential === undefined ? [] : [{ host, credential }];
}

function explicitOnly(host: string, credential: Credential | undefined): CredentialProvider | undefined {
  if (credential === undefined) return undefined;
  const found = { credential, source: '--creds' };
  return { credential: async (scope) => (scope.host === host ? found : undefined) };
}

async function openRegistry(text: string, options: OpenOptions): Promise<OpenedSource> {
  const reference = parseReference(text);
  const [{ createRepository }, { createCredentialSearch }, { createEndpointSearch }] = await Promise.all([
    import('./registry/repository.js'),
    import('./registry/credential-search.js'),
    import('./registry/endpoint-search.js'),
  ]);
  const credentials =
    options.credentials ??
    (options.findCredentials === false
      ? explicitOnly(reference.registry, options.credential)
      : createCredentialSearch({
          explicit: explicit(reference.registry, options.credential),
          authFile: options.authFile,
          onProgress: options.onProgress,
        }));
  const endpoints = options.endpoints ?? (options.findEndpoints === false ? undefined : createEndpointSearch(options));
  const repository = createRepository(reference, { ...options, credentials, endpoints });
  return {
    source: repository,
    reference: reference.digest ?? reference.tag ?? 'latest',
    name: formatReference(reference),
    transport: 'docker',
    close: async () => {},
  };
}

/**
 * Opens the source that `text` names: `docker://NAME` or a bare registry reference, `oci:DIR[:TAG]`, `oci:DIR@DIGEST`,
 * `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`, `docker-daemon:REF`, `dir:DIR`.
 *
 * An archive's `FILE` may be `-`, standard input. A local source is opened and its shape is checked (an engine's image
 * is copied into a temporary file, which `close` removes); a registry is not asked anything yet.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, `ERR_NOT_FOUND`, `ERR_LAYOUT_INVALID`, `ERR_ARCHIVE_INVALID`, and what
 *   the sources' own `open` throws
 */
export async function openSource(text: string, options: OpenOptions = {}): Promise<OpenedSource> {
  const { transport, rest } = splitTransport(text);
  if (transport === 'docker') return openRegistry(rest, options);
  if (rest === '') {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `${text}: nothing stands after ${transport}:; name a path, as in ${transport}:./image`,
    );
  }
  // An engine's image has no path; everything behind the prefix is its name.
  const { path, reference } = transport === 'docker-daemon' ? { path: rest } : await splitPath(rest);
  const { source, close } = await openLocal(transport, path, options);
  return { source, reference: reference ?? '', name: text, transport, close };
}

interface LocalSource {
  readonly source: ReadOnlyTarget;
  close(): Promise<void>;
}

async function openLocal(
  transport: Exclude<Transport, 'docker'>,
  path: string,
  { signal }: OpenOptions,
): Promise<LocalSource> {
  const nothing = async (): Promise<void> => {};
  const closing = <T extends ReadOnlyTarget & { close(): Promise<void> }>(source: T): LocalSource => ({
    source,
    close: () => source.close(),
  });
  switch (transport) {
    case 'oci':
      return { source: await (await import('./content/oci-layout.js')).OciLayout.open(path), close: nothing };
    case 'dir':
      return { source: await (await import('./content/dir-layout.js')).DirLayout.open(path), close: nothing };
    case 'oci-archive':
      return closing(await (await import('./content/oci-archive.js')).OciArchive.open(path, { signal }));
    case 'docker-archive':
      return closing(await (await import('./content/docker-archive.js')).DockerArchive.open(path, { signal }));
    case 'docker-daemon':
      return closing(await (await import('./content/docker-daemon.js')).openDockerDaemon(path, { signal }));
  }
}
