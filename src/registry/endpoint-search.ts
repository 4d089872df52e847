/**
 * Says where a repository is asked for, from the files of the machine and of the user, and from what was said here.
 *
 * It knows `hosts.toml`, `registries.conf` and folders of certificates; it does not know requests or credentials.
 * Files are read at each question; one that has not changed is not parsed again.
 */
import { RootfsError } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { type ProgressListener, warn } from '../progress.js';
import { apiHost, isLoopbackHost } from '../spec/reference.js';
import { type CertsFolder, findCerts, readAuthority, readCertsFolder } from './certs-d.js';
import { canonicalHost } from './credential-key.js';
import { homeFolder } from './credential-places.js';
import type { Endpoint, EndpointCapability, EndpointOptions, EndpointResolver, TlsSettings } from './endpoint.js';
import { findHostFolder, type HostEntry, type HostsFile, readHostsFile } from './hosts-toml.js';
import {
  type MirrorRule,
  matchRule,
  type RegistriesConfPlaces,
  type RegistryRule,
  readRegistriesConf,
  registriesConfPlaces,
  relocate,
} from './registries-conf.js';
import { environmentValue } from './settings-file.js';

/** Where the files about registries are looked for. What is not given is the machine's own. */
export interface EndpointPlaceOptions {
  /** Roots of folders with `hosts.toml`; default `/etc/containerd/certs.d`, `/etc/docker/certs.d`. */
  readonly hostsDirs?: readonly string[] | undefined;
  /** Roots of folders with certificates; default the containers tools' (the user's, then the system's) and Docker's. */
  readonly certsDirs?: readonly string[] | undefined;
  /** Default: the files and folders of the containers tools, and `CONTAINERS_REGISTRIES_CONF`. */
  readonly registriesConf?: RegistriesConfPlaces | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly home?: string | undefined;
}

/** Options of `createEndpointSearch`. What is said here wins over files, for the registry itself; mirrors keep theirs. */
export interface EndpointSearchOptions extends EndpointPlaceOptions {
  /** true: http and nothing else; false: never http. Default: http for loopback hosts only, unless a file says more. */
  readonly plainHttp?: boolean | undefined;
  /** true: https with a certificate that holds; false: any certificate will do, and http where https is not spoken. */
  readonly tlsVerify?: boolean | undefined;
  /** A PEM file of authorities to trust in addition; implies https. */
  readonly caFile?: string | undefined;
  /** Hears warnings where the call brings no listener of its own. */
  readonly onProgress?: ProgressListener | undefined;
}

const PULL: readonly EndpointCapability[] = ['pull', 'resolve'];
const ALL: readonly EndpointCapability[] = ['pull', 'resolve', 'push'];
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?$/;

/**
 * Makes the resolver: mirrors of `hosts.toml` in the file's order, mirrors of `registries.conf`, then the registry
 * itself, each place once. The registry itself is where `hosts.toml` (`server`) or else `registries.conf` (`location`)
 * moved it. A host that may be spoken to without proof is listed twice: https with any certificate, then http.
 *
 * @throws RootfsError at once `ERR_OPTION_INVALID`; the resolver throws `ERR_DENIED` (blocked; names the file),
 * `ERR_OPTION_INVALID` (a file that makes no sense), `ERR_TLS` (a certificate file that is none), `ERR_NOT_FOUND` (a
 * file that another one names), `ERR_PERMISSION`, `ERR_FILESYSTEM`, each with the path, and the caller's abort reason
 */
export function createEndpointSearch(options: EndpointSearchOptions = {}): EndpointResolver {
  checkOptions(options);
  return {
    async endpoints(host: string, repository: string, call: EndpointOptions = {}): Promise<readonly Endpoint[]> {
      throwIfAborted(call.signal);
      if (!HOST.test(host))
        throw invalid('host', host, 'a registry; expected host[:port], as in registry.example:5000');
      const found = await new EndpointSearch(options, call).run(host, repository);
      throwIfAborted(call.signal);
      // What looks like an address and is none: 10.0.0.256. A mirror may stand in for it all the same.
      const askable = found.filter(({ baseUrl }) => URL.canParse(baseUrl));
      const wrong = found.find((one) => !askable.includes(one) && (one.mirrorOf !== undefined || askable.length === 0));
      if (wrong === undefined) return askable;
      const place = wrong.mirrorOf === undefined ? '' : ` in ${wrong.source}`;
      throw invalid('host', wrong.credentialHost, `a registry; expected a host name or an address${place}`);
    },
  };
}

interface Place {
  readonly host: string;
  readonly repository: string;
  readonly source: string;
}

interface Spoken {
  readonly scheme: 'http' | 'https';
  readonly tls: TlsSettings | undefined;
}

class EndpointSearch {
  readonly #options: EndpointSearchOptions;
  readonly #call: EndpointOptions;
  readonly #hostsDirs: readonly string[];
  readonly #certsDirs: readonly string[];
  readonly #places: RegistriesConfPlaces;
  readonly #env: NodeJS.ProcessEnv;

  constructor(options: EndpointSearchOptions, call: EndpointOptions) {
    this.#options = options;
    this.#call = call;
    this.#env = options.env ?? process.env;
    const home = homeFolder(options);
    const config = environmentValue(this.#env, 'XDG_CONFIG_HOME') ?? `${home}/.config`;
    this.#hostsDirs = options.hostsDirs ?? ['/etc/containerd/certs.d', '/etc/docker/certs.d'];
    this.#certsDirs = options.certsDirs ?? [
      `${config}/containers/certs.d`,
      '/etc/containers/certs.d',
      '/etc/docker/certs.d',
    ];
    this.#places = options.registriesConf ?? registriesConfPlaces(this.#env, home);
  }

  async run(host: string, repository: string): Promise<readonly Endpoint[]> {
    const name = `${host}/${repository}`;
    const rule = matchRule(await readRegistriesConf(this.#places), name, this.#call.reference);
    if (rule?.blocked === true) {
      throw new RootfsError(
        'ERR_DENIED',
        `${name}: ${rule.path} blocks ${rule.prefix}; use another registry, or change that file`,
        { detail: { name, path: rule.path, prefix: rule.prefix } },
      );
    }
    const folder = findHostFolder(this.#hostsDirs, host);
    const file = folder === undefined ? undefined : await readHostsFile(folder);
    for (const warning of file?.warnings ?? []) this.#warn(`${file?.path}: ${warning}`);
    // A folder of containerd's without hosts.toml holds certificates as Docker's does.
    const bare = folder === undefined || file !== undefined ? undefined : await readCertsFolder(folder);
    const found: Endpoint[] = [];
    for (const entry of file?.hosts ?? [])
      found.push(...(await this.#fromEntry(entry, file as HostsFile, host, repository)));
    for (const mirror of rule?.mirrors ?? []) {
      found.push(...(await this.#fromMirror(mirror, rule as RegistryRule, host, name)));
    }
    found.push(...(await this.#itself(host, repository, { rule, file, bare })));
    return withoutRepeats(found);
  }

  async #fromEntry(entry: HostEntry, file: HostsFile, host: string, repository: string): Promise<Endpoint[]> {
    if (entry.url === undefined) return [];
    const { url } = entry;
    const scheme = url.protocol === 'http:' ? 'http' : 'https';
    const tls = scheme === 'http' ? undefined : (entry.tls ?? (await this.#certs(canonicalHost(url.host)))?.tls);
    return [
      this.#endpoint({ scheme, tls }, { host: url.host, repository, source: file.path }, entry, otherThan(url, host)),
    ];
  }

  async #fromMirror(mirror: MirrorRule, rule: RegistryRule, host: string, name: string): Promise<Endpoint[]> {
    const { reference } = this.#call;
    const byDigest = reference?.includes(':');
    if (byDigest !== undefined && mirror.pullFrom === (byDigest ? 'tag-only' : 'digest-only')) return [];
    const place = { ...splitName(relocate(rule, mirror.location, name)), source: rule.path };
    const capabilities = mirror.pullFrom === 'digest-only' ? (['pull'] as const) : PULL;
    const certs = await this.#certs(place.host);
    const spoken = speak(place.host, mirror.insecure, certs, undefined, {});
    return spoken.map((how) => ({ ...this.#endpoint(how, place, { capabilities }, host), sendsNamespace: false }));
  }

  /** The registry itself, wherever files have moved it, with what the options say about it. */
  async #itself(
    host: string,
    repository: string,
    facts: {
      readonly rule: RegistryRule | undefined;
      readonly file: HostsFile | undefined;
      readonly bare: CertsFolder | undefined;
    },
  ): Promise<Endpoint[]> {
    const { rule, file, bare } = facts;
    const server = file?.server;
    const { caFile } = this.#options;
    const ca = caFile === undefined ? undefined : await readAuthority(caFile, 'the option caFile');
    if (server?.url !== undefined) {
      const scheme = this.#serverScheme(server.url);
      const own = server.tls ?? (await this.#certs(canonicalHost(server.url.host)))?.tls;
      const tls = scheme === 'http' ? undefined : mergeTls(own, ca, this.#options.tlsVerify);
      const place = { host: server.url.host, repository, source: (file as HostsFile).path };
      return [this.#endpoint({ scheme, tls }, place, server, otherThan(server.url, host))];
    }
    const moved =
      rule?.location === undefined ? undefined : splitName(relocate(rule, rule.location, `${host}/${repository}`));
    const place = moved ?? { host, repository };
    const certs = (moved === undefined ? bare : undefined) ?? (await this.#certs(place.host));
    const fromFile: CertsFolder | undefined =
      server?.tls === undefined ? certs : { path: (file as HostsFile).path, tls: server.tls };
    const sources = [rule?.path, file?.path, fromFile?.path].filter((path) => path !== undefined);
    const source = sources.length === 0 ? 'default' : [...new Set(sources)].join(', ');
    const spoken = speak(place.host, rule?.insecure, fromFile, ca, this.#options);
    const entry = { capabilities: server?.capabilities ?? ALL, headers: server?.headers };
    return spoken.map((how) => this.#endpoint(how, { ...place, source }, entry, undefined));
  }

  #serverScheme(url: URL): 'http' | 'https' {
    const { plainHttp, tlsVerify, caFile } = this.#options;
    if (plainHttp !== undefined) return plainHttp ? 'http' : 'https';
    if (tlsVerify === true || caFile !== undefined) return 'https';
    return url.protocol === 'http:' ? 'http' : 'https';
  }

  #endpoint(
    { scheme, tls }: Spoken,
    { host, repository, source }: Place,
    entry: Partial<HostEntry> & Pick<HostEntry, 'capabilities'>,
    mirrorOf: string | undefined,
  ): Endpoint {
    const path = entry.url === undefined || entry.url.pathname === '/' ? '' : entry.url.pathname;
    return {
      baseUrl: `${scheme}://${apiHost(canonicalHost(host))}${path}`,
      ...(entry.overridePath === true ? { overridePath: true } : {}),
      repository,
      ...(mirrorOf === undefined ? {} : { mirrorOf }),
      credentialHost: canonicalHost(host),
      capabilities: entry.capabilities,
      ...(tls === undefined ? {} : { tls }),
      ...(entry.headers === undefined ? {} : { headers: entry.headers }),
      source,
    };
  }

  #certs(host: string): Promise<CertsFolder | undefined> {
    return findCerts(this.#certsDirs, host);
  }

  #warn(message: string): void {
    warn(this.#call.onProgress ?? this.#options.onProgress, message);
  }
}

/** In which ways a host is spoken to, in order. */
function speak(
  host: string,
  insecure: boolean | undefined,
  certs: CertsFolder | undefined,
  ca: string | undefined,
  said: Pick<EndpointSearchOptions, 'plainHttp' | 'tlsVerify'>,
): readonly Spoken[] {
  const http: Spoken = { scheme: 'http', tls: undefined };
  if (said.plainHttp === true) return [http];
  const skip = said.tlsVerify === undefined ? insecure === true : !said.tlsVerify;
  const tls = mergeTls(certs?.tls, ca, skip ? false : said.tlsVerify);
  const https: Spoken = { scheme: 'https', tls };
  if (skip) return said.plainHttp === false ? [https] : [https, http];
  const asked = said.plainHttp === false || said.tlsVerify === true || ca !== undefined || certs !== undefined;
  return asked || insecure === false || !isLoopbackHost(host) ? [https] : [http];
}

function mergeTls(
  tls: TlsSettings | undefined,
  ca: string | undefined,
  verify: boolean | undefined,
): TlsSettings | undefined {
  const merged = ca === undefined ? tls : { ...tls, ca: [...(tls?.ca ?? []), ca] };
  if (verify === undefined) return merged;
  return verify && merged?.skipVerify === undefined ? merged : { ...merged, skipVerify: !verify };
}

/** The registry that a host of `hosts.toml` stands in for; `undefined` when it is the registry's own host. */
function otherThan(url: URL, host: string): string | undefined {
  return canonicalHost(url.host) === canonicalHost(host) ? undefined : host;
}

function splitName(name: string): { readonly host: string; readonly repository: string } {
  const slash = name.indexOf('/');
  return { host: name.slice(0, slash), repository: name.slice(slash + 1) };
}

function withoutRepeats(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.filter((endpoint, index) =>
    endpoints
      .slice(0, index)
      .every(
        (earlier) =>
          earlier.baseUrl !== endpoint.baseUrl ||
          earlier.repository !== endpoint.repository ||
          endpoint.capabilities.some((capability) => !earlier.capabilities.includes(capability)),
      ),
  );
}

function checkOptions(options: EndpointSearchOptions): void {
  if (options.caFile === '') throw invalid('caFile', '', 'a path; name a PEM file or leave the option out');
  for (const name of ['plainHttp', 'tlsVerify'] as const) {
    const value: unknown = options[name];
    if (value !== undefined && typeof value !== 'boolean') throw invalid(name, String(value), 'true or false');
  }
}

function invalid(option: string, value: string, expected: string): RootfsError {
  return new RootfsError('ERR_OPTION_INVALID', `${option}: ${JSON.stringify(value.slice(0, 200))} is not ${expected}`, {
    detail: { option, value: value.slice(0, 200) },
  });
}
