/** Which proxy a request goes through, by the environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY, in both cases. */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { RootfsError } from '../errors.js';
import { isLoopbackHost } from '../spec/reference.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for `url`, or `undefined` for the direct way. Lower-case names win over upper-case ones.
 *
 * Loopback is never proxied. NO_PROXY: names (with their subdomains; a leading dot means subdomains only), addresses,
 * CIDR ranges, each with an optional port; `*` for everything.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` when the proxy's own address is no http or https URL
 */
export function proxyFor(url: URL, environment: Environment = process.env): URL | undefined {
  const names = url.protocol === 'https:' ? ['https_proxy', 'HTTPS_PROXY'] : ['http_proxy', 'HTTP_PROXY'];
  // Under CGI the upper-case HTTP_PROXY is a request header of a stranger.
  const usable = environment['REQUEST_METHOD'] === undefined ? names : names.filter((name) => name !== 'HTTP_PROXY');
  const name = usable.find((candidate) => (environment[candidate] ?? '') !== '');
  if (name === undefined) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (isLoopbackHost(url.hostname)) return undefined;
  const exceptions = environment['no_proxy'] || environment['NO_PROXY'] || '';
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (exceptions.split(/[\s,]+/).some((entry) => isException(entry.toLowerCase(), host, port))) return undefined;
  const text = environment[name] ?? '';
  const proxy = parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (proxy === undefined) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `environment variable ${name}: its value is not the address of an http or https proxy; expected http://host:port`,
      { detail: { variable: name } },
    );
  }
  return proxy;
}

function parse(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '' ? url : undefined;
}

function isException(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const slash = entry.indexOf('/');
  if (slash > 0) return isInRange(entry.slice(0, slash), entry.slice(slash + 1), host);
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry);
  const named = isIP(entry) === 0 ? /^([^:]*):(\d+)$/.exec(entry) : null;
  const [, name = entry, wantedPort] = bracketed ?? named ?? [];
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (name.startsWith('*.') || name.startsWith('.')) return host.endsWith(name.slice(name.indexOf('.')));
  return host === name || host.endsWith(`.${name}`);
}

function isInRange(network: string, prefix: string, host: string): boolean {
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  const bits = Number(prefix);
  if (bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, isIPv4(host) ? 'ipv4' : 'ipv6');
}
