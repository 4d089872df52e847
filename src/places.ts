/**
 * How people name places: the prefix that says what kind of place it is, a path, the name of an image there. It opens
 * nothing; of the file system it only asks what is there as it stands: a path that holds a colon, an archive whose
 * prefix was forgotten.
 */
import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { checkEntryName } from './content/entry-name.js';
import { RootfsError } from './errors.js';
import { isDigest, isVerifiable, parseDigest } from './spec/digest.js';

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
  if (typeof text !== 'string') {
    throw invalid(`reference: expected text, as in alpine or oci:DIR, found ${typeof text}`);
  }
  const colon = text.indexOf(':');
  const transport = text.slice(0, colon);
  if (colon < 1 || !TRANSPORTS.has(transport)) return { transport: 'docker', rest: text };
  const rest = text.slice(colon + 1);
  if (transport !== 'docker') return { transport: transport as Transport, rest };
  // docker:5000/x is a host named docker; only docker:// is the prefix.
  return { transport: 'docker', rest: rest.startsWith('//') ? rest.slice(2) : text };
}

/**
 * Splits `path[:reference]`, `path@digest` or `path:[name]@digest`; a path that exists as it stands has no reference,
 * and one that exists as it stands before its digest has no name.
 */
export async function splitPath(text: string): Promise<{ path: string; reference: string | undefined }> {
  const at = text.lastIndexOf('@');
  const before = text.slice(0, at);
  const named = text.slice(at + 1);
  // By its grammar any `word:word` is a digest of some algorithm: in `user@host:tag` it is the end of a folder, and a tag.
  if (at > 0 && isDigest(named) && /:[0-9a-f]{32,}$/.test(named)) {
    const end = before.indexOf(':');
    if (end > 0 && (await lstat(before).catch(() => undefined)) === undefined) {
      return { path: text.slice(0, end), reference: text.slice(end + 1) };
    }
    return { path: before, reference: named };
  }
  if (at > 0 && /^sha(?:256|512):/.test(named) && (await lstat(text).catch(() => undefined)) === undefined) {
    parseDigest(named);
  }
  const colon = text.indexOf(':');
  if (colon < 0) return { path: text, reference: undefined };
  const whole = await lstat(text).catch(() => undefined);
  return whole === undefined
    ? { path: text.slice(0, colon), reference: text.slice(colon + 1) }
    : { path: text, reference: undefined };
}

/**
 * Splits a place that is written to: `path[:name]`, the path ending at its first colon unless it is there as it stands.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`: no path, a digest instead of a name, what cannot be a name there, standard
 *   output for a folder
 */
export async function splitDestination(
  transport: Transport,
  rest: string,
): Promise<{ path: string; reference: string }> {
  const text = `${transport}:${rest}`;
  const { path, reference } = await splitPath(rest);
  if (path === '') {
    throw new RootfsError('ERR_REFERENCE_INVALID', `${text}: a path is missing; ${placeAdvice(transport)}`);
  }
  refuseStream(transport, path, 'go to standard output');
  const last = reference?.slice(reference.lastIndexOf('@') + 1);
  if (last !== undefined && isVerifiable(last)) {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `${text}: a destination on this machine has a name or none; leave the digest out`,
      { detail: { reference: text } },
    );
  }
  if (transport === 'dir' && reference !== undefined && reference !== '') {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `${text}: a folder of this form holds one image without a name; leave out :${reference}`,
      { detail: { reference: text } },
    );
  }
  // Before anything is brought there.
  if (reference !== undefined && reference !== '' && transport !== 'docker-archive') checkEntryName(reference);
  return { path, reference: reference ?? '' };
}

/** A folder is no stream: `-` stands for one with archives only. @throws RootfsError `ERR_REFERENCE_INVALID` */
export function refuseStream(transport: Transport, path: string, way: string): void {
  if (path !== '-' || (transport !== 'oci' && transport !== 'dir')) return;
  throw new RootfsError(
    'ERR_REFERENCE_INVALID',
    `${transport}:-: a folder cannot ${way}; use oci-archive:-, or ${transport}:./- for a folder of that name`,
  );
}

/** Whether an image's name says that its archive is on standard input, or goes to standard output. */
export function isStream(text: string): boolean {
  const { transport, rest } = splitTransport(text);
  return transport.endsWith('-archive') && /^-(?:$|:|@sha(?:256|512):)/.test(rest);
}

/** What to write behind a prefix that stands alone. */
export function placeAdvice(transport: Transport): string {
  if (transport === 'docker-daemon') return 'name an image of the engine, as in docker-daemon:app:v1';
  const path = transport.endsWith('-archive') ? './image.tar' : './image';
  return `name a path, as in ${transport}:${path}${transport === 'oci' ? ':v1' : ''}`;
}

/** Prefixes of places that are not opened here. */
const FOREIGN = /^(containers-storage|ostree|sif):/;

/** What people write for the prefixes that are known here; in Docker's dialect each would be an odd name with a tag. */
const MEANT: readonly (readonly [RegExp, Transport])[] = [
  [/^oci[-_]?(?:dir|layout)$/, 'oci'],
  [/^directory$/, 'dir'],
  [/^oci[-_]?ar\w*[cv]\w*$/, 'oci-archive'],
  [/^(?:docker[-_]?tar(?:ball)?|tarball|docker[-_]?ar\w*[cv]\w*)$/, 'docker-archive'],
  [/^docker[-_]?d(?:ae|ea)m\w*$/, 'docker-daemon'],
];

/**
 * Refuses what a registry could only answer with "not found": a path, another tool's prefix or a mistyped one, a
 * registry without an image.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`
 */
export function refuseNoImage(text: string): void {
  const foreign = FOREIGN.exec(text)?.[1];
  if (foreign !== undefined) {
    throw invalid(
      `${text}: ${foreign}: is not read here; copy the image into an OCI layout first, and name it as oci:DIR`,
    );
  }
  const [, word = '', rest = ''] = /^([A-Za-z_-]+):(?:\/\/)?(.*)$/s.exec(text) ?? [];
  const meant = MEANT.find(([pattern]) => pattern.test(word.toLowerCase()))?.[1];
  if (meant !== undefined) throw invalid(`${text}: ${word}: is no kind of place; did you mean ${meant}:${rest}?`);
  if (/^(?:localhost|\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?$/.test(text) && text !== 'localhost') {
    throw invalid(`${text}: a registry without an image; name one there, as in ${text}/app:v1`);
  }
  const archive = /\.(?:tar|tgz|tar\.gz)$/.test(text) && (!text.includes('/') || PATH.test(text) || existsSync(text));
  // No name ends in a slash. With a host before it, it is a registry's that was not written to its end.
  const folder = /^[^/.:]+\/(?:[^/:]+\/)*$/.test(text) && !text.startsWith('localhost/');
  if (!archive && !folder && !PATH.test(text)) return;
  const kinds: readonly Transport[] = archive ? ['docker-archive', 'oci-archive'] : ['oci', 'dir'];
  throw invalid(
    `${JSON.stringify(text)} is not an image reference but a path; say what it holds: ${kinds.map((kind) => `${kind}:${text}`).join(' or ')}`,
  );
}

/** What starts as no name of an image does. */
const PATH = /^(?:\.{0,2}\/|~\/|\.{1,2}$)/;

function invalid(message: string): RootfsError {
  return new RootfsError('ERR_REFERENCE_INVALID', message);
}
