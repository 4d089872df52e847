/**
 * containerd's `hosts.toml`: which hosts stand in for a registry, in the order of the file, and the registry's server.
 *
 * @see https://github.com/containerd/containerd/blob/v2.1.0/docs/hosts.md
 */
import { statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { systemErrorCode, wrapSystemError } from '../errors.js';
import { readAuthority, readClientPair } from './certs-d.js';
import type { EndpointCapability, TlsSettings } from './endpoint.js';
import { readTomlFile, type TomlTable } from './toml-file.js';

/** One host of a `hosts.toml`, or its server. */
export interface HostEntry {
  /** Scheme, host, port and path; no trailing slash, no `/v2` unless `overridePath`. `undefined`: the registry's own. */
  readonly url: URL | undefined;
  readonly overridePath: boolean;
  readonly capabilities: readonly EndpointCapability[];
  /** `undefined` where the file says nothing about TLS. */
  readonly tls: TlsSettings | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

/** A `hosts.toml`, read. */
export interface HostsFile {
  readonly path: string;
  readonly hosts: readonly HostEntry[];
  readonly server: HostEntry;
  /** What it says and this library does not do, for people. */
  readonly warnings: readonly string[];
}

const ALL: readonly EndpointCapability[] = ['pull', 'resolve', 'push'];
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Finds the folder that speaks for a registry: under each root `host_port_`, `host:port`, then `_default`.
 *
 * @throws RootfsError `ERR_FILESYSTEM`
 */
export function findHostFolder(roots: readonly string[], host: string): string | undefined {
  const port = /^(.*):([0-9]+)$/.exec(host);
  const names = [...(port === null ? [] : [`${port[1]}_${port[2]}_`]), host, '_default'];
  for (const path of roots.flatMap((root) => names.map((name) => join(root, name)))) {
    try {
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return path;
    } catch (error) {
      const errno = systemErrorCode(error);
      // A root that this user may not search speaks to root only.
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR' && errno !== 'EACCES') throw wrapSystemError(error, path);
    }
  }
  return undefined;
}

/**
 * Reads the `hosts.toml` of a folder; `undefined` when there is none.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` and `ERR_TLS` with the path, `ERR_NOT_FOUND` for a file it names,
 * `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export async function readHostsFile(folder: string): Promise<HostsFile | undefined> {
  const path = join(folder, 'hosts.toml');
  const file = await readTomlFile(path);
  if (file === undefined) return undefined;
  const hosts: HostEntry[] = [];
  const warnings = new Set(notDone(file));
  const table = file.table('host');
  for (const key of table?.keys() ?? []) {
    const entry = table?.table(key);
    if (entry === undefined) continue;
    for (const warning of notDone(entry)) warnings.add(warning);
    hosts.push(await readEntry(folder, key, entry));
  }
  return { path, hosts, server: await readEntry(folder, file.string('server'), file), warnings: [...warnings] };
}

function notDone(table: TomlTable): string[] {
  const client = table.value('client');
  return [
    ...(table.value('proxy') === undefined ? [] : ['proxy is not read from here; set HTTPS_PROXY or HTTP_PROXY']),
    ...(table.value('dial_timeout') === undefined ? [] : ['dial_timeout is not read from here; give --timeout']),
    ...(Array.isArray(client) && client.length > 1 ? ['only the first client certificate is used'] : []),
  ];
}

async function readEntry(folder: string, server: string | undefined, table: TomlTable): Promise<HostEntry> {
  const overridePath = table.boolean('override_path') ?? false;
  return {
    url: server === undefined || server === '' ? undefined : parseServer(server, overridePath, table),
    overridePath,
    capabilities: readCapabilities(table),
    tls: await readTls(folder, table),
    headers: readHeaders(table),
  };
}

function parseServer(server: string, overridePath: boolean, table: TomlTable): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(server) ? server : `https://${server}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.host === '') {
    throw table.problem('server and host are expected to be http or https URLs, and one is not');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw table.problem(`the URL of ${url.host} holds credentials or a query; put credentials into an auth file`);
  }
  let path = url.pathname;
  while (path.endsWith('/')) path = path.slice(0, -1);
  url.pathname = overridePath ? path : path.replace(/\/v2$/, '');
  return url;
}

function readCapabilities(table: TomlTable): readonly EndpointCapability[] {
  const names = table.strings('capabilities').map((name) => name.toLowerCase());
  // containerd 2.2 names a fourth; who asks for referrers here asks wherever a name may be resolved.
  const found = new Set(names.filter((name) => name !== 'referrers'));
  const known = ALL.filter((capability) => found.delete(capability));
  if (found.size > 0)
    throw table.problem('capabilities are pull, resolve, push and referrers, and one is something else');
  return names.length === 0 ? ALL : known;
}

async function readTls(folder: string, table: TomlTable): Promise<TlsSettings | undefined> {
  const at = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  const subject = table.path;
  const ca: string[] = [];
  for (const path of table.strings('ca')) ca.push(await readAuthority(at(path), subject));
  const client = table.value('client');
  const first: unknown = Array.isArray(client) ? client[0] : client;
  const skipVerify = table.boolean('skip_verify');
  let pair: { readonly cert: string; readonly key: string } | undefined;
  if (typeof first === 'string') pair = await readClientPair(at(first));
  else if (Array.isArray(first) && first.length === 2 && first.every((path) => typeof path === 'string')) {
    const [cert, key] = first as [string, string];
    pair = await readClientPair(at(cert), key === '' ? undefined : at(key));
  } else if (first !== undefined) {
    throw table.problem('client is expected to be a path, a list of paths, or a list of [certificate, key]');
  }
  if (ca.length === 0 && pair === undefined && skipVerify === undefined) return undefined;
  return { ...(ca.length === 0 ? {} : { ca }), ...pair, ...(skipVerify === undefined ? {} : { skipVerify }) };
}

function readHeaders(table: TomlTable): Readonly<Record<string, string>> | undefined {
  const header = table.table('header');
  if (header === undefined) return undefined;
  const entries = header.keys().map((name): [string, string] => {
    const value = header.strings(name).join(', ');
    if (!HEADER_NAME.test(name)) throw header.problem('a header has a name that HTTP does not allow');
    if (!HEADER_VALUE.test(value)) throw header.problem(`the header ${name} has a value that HTTP does not allow`);
    return [name, value];
  });
  return Object.fromEntries(entries);
}
