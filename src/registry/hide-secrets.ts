/** What was shown to a registry must not come back in what it says: some quote the header that they refuse. Pure. */
import type { Credential } from './credentials.js';

/** Shorter texts are left alone: they stand in ordinary words too. */
const SHORTEST_SECRET = 4;

/** What must not stand in a message: an Authorization header's value, and everything that a credential can be shown as. */
export function secretsOf(credential: Credential | undefined, shown?: string | undefined): readonly string[] {
  const { username, password, identityToken, registryToken } = credential ?? {};
  const value = shown?.slice(shown.indexOf(' ') + 1);
  const secrets = [value, password, identityToken, registryToken];
  if (value !== undefined && shown?.startsWith('Basic ') === true) {
    const login = Buffer.from(value, 'base64').toString('utf8');
    secrets.push(login.slice(login.indexOf(':') + 1));
  }
  for (const secret of [password, identityToken]) {
    if (secret !== undefined) secrets.push(Buffer.from(`${username ?? '<token>'}:${secret}`).toString('base64'));
  }
  return secrets.filter((secret) => secret !== undefined && secret.length >= SHORTEST_SECRET) as string[];
}

/** Shorter values of a URL's query sign nothing: dates, versions, numbers. */
const SHORTEST_SIGNATURE = 24;

/** What calls itself a secret is one at any length; `SignedHeaders` and `SignatureVersion` are none. */
const SECRET_PARAMETER = /(?:sig|signature|token|secret|passw(?:or)?d|key|credential|auth|jwt|hmac)$/i;

/** How many values of a query are looked for. */
const MAX_SIGNATURES = 32;

/** What queries of ours hold: names, digests and types, which belong into messages. */
const OWN_PARAMETERS = new Set('account artifacttype digest from last mount ns scope service'.split(' '));

/** What must not stand in a message of a URL that the other side chose: whoever has a signed query has the content. */
export function secretsOfUrl({ searchParams }: URL): readonly string[] {
  return [...searchParams]
    .filter(([name, value]) => {
      const shortest = SECRET_PARAMETER.test(name) ? SHORTEST_SECRET : SHORTEST_SIGNATURE;
      return value.length >= shortest && !OWN_PARAMETERS.has(name.toLowerCase());
    })
    .map(([, value]) => value)
    .sort((a, b) => b.length - a.length)
    .slice(0, MAX_SIGNATURES);
}

/** A text without the secrets, however they are written: as they are, with escapes of JSON, of URLs and forms, of HTML. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  // The longest first: one may be a part of another.
  const longestFirst = [...new Set(secrets)].sort((a, b) => b.length - a.length);
  return longestFirst.reduce((left, secret) => hideOne(left.replaceAll(secret, '…'), plain(secret).text), text);
}

/** A string in JSON whose name says that nobody else may know it: a token that comes with an odd status. */
const NAMED_SECRET = /("[^"\\]{0,40}(?:token|password|secret)[^"\\]{0,40}"\s*:\s*)"(?:[^"\\]|\\.)*"?/gi;

/** A text, JSON or not, without the strings that it calls tokens, passwords or secrets itself. */
export function withoutNamedSecrets(text: string): string {
  return text.replace(NAMED_SECRET, '$1"…"');
}

/** A text without its escapes, and where each of its characters stands in what it was made of. */
interface PlainText {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Escapes of all kinds. Encoders of JSON differ in what they escape (Go `&`, .NET `+`, PHP `/`); JSON may quote JSON. */
const ESCAPE =
  /\\+(?:u([0-9a-f]{4})|([bfnrt]))?|((?:%[0-9a-f]{2})+)|&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));|\+/gi;
const SHORT: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Hides what reads like a secret once both are without escapes: what a secret has of them goes as well. */
function hideOne(text: string, secret: string): string {
  if (secret.length < SHORTEST_SECRET) return text;
  const read = plain(text);
  let left = '';
  let done = 0;
  for (let at = read.text.indexOf(secret); at >= 0; at = read.text.indexOf(secret, at + secret.length)) {
    left += `${text.slice(done, read.starts[at])}…`;
    done = read.ends[at + secret.length - 1] ?? text.length;
  }
  return left + text.slice(done);
}

/** Twice: JSON may hold HTML. */
function plain(text: string): PlainText {
  const places = Array.from({ length: text.length }, (_, at) => at);
  return unescaped(unescaped({ text, starts: places, ends: places.map((at) => at + 1) }));
}

function unescaped(given: PlainText): PlainText {
  const starts: number[] = [];
  const ends: number[] = [];
  let text = '';
  let start: number | undefined;
  const add = (chars: string, from: number, to: number): void => {
    // Backslashes alone say nothing: they belong to what follows.
    start ??= given.starts[from] ?? 0;
    for (let at = 0; at < chars.length; at += 1) {
      starts.push(start);
      ends.push(given.ends[to - 1] ?? 0);
    }
    text += chars;
    if (chars !== '') start = undefined;
  };
  let done = 0;
  const copyUntil = (end: number): void => {
    for (; done < end; done += 1) add(given.text.charAt(done), done, done + 1);
  };
  for (const match of given.text.matchAll(ESCAPE)) {
    copyUntil(match.index);
    done = match.index + match[0].length;
    add(meaningOf(match), match.index, done);
  }
  copyUntil(given.text.length);
  return { text, starts, ends };
}

function meaningOf([whole, unit, short, url, decimal, hex, name]: RegExpMatchArray): string {
  if (unit !== undefined) return String.fromCharCode(Number.parseInt(unit, 16));
  if (short !== undefined) return SHORT[short.toLowerCase()] ?? '';
  if (url !== undefined) return Buffer.from(url.replaceAll('%', ''), 'hex').toString();
  const code = decimal ?? (hex === undefined ? undefined : `0x${hex}`);
  if (code !== undefined) return Number(code) <= 0x10ffff ? String.fromCodePoint(Number(code)) : '';
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? '';
  // In forms it is a blank.
  return whole === '+' ? ' ' : '';
}
