/** The reading half of the protocol: manifests, blobs, tags, catalog, referrers. @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull */
import { type Digest, isDigest } from '../spec/digest.js';
import { MediaType } from '../spec/media-types.js';
import { type Answer, answer, failure, json } from './registry-answer.js';
import type { RegistryContent } from './registry-content.js';

/** A tag or digest of a repository, or 404. With `accept`, a media type that the client did not ask for is 404 too. */
export function getManifest(content: RegistryContent, repository: string, reference: string, accept?: string): Answer {
  const manifest = content.manifest(repository, reference);
  if (manifest === undefined || (accept !== undefined && !accepts(accept, manifest.mediaType))) {
    return failure(404, 'MANIFEST_UNKNOWN', 'manifest unknown', { Tag: reference });
  }
  return answer(
    200,
    { 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest, etag: `"${manifest.digest}"` },
    manifest.bytes,
  );
}

function accepts(accept: string, mediaType: string): boolean {
  return accept.split(',').some((part) => {
    const type = part.split(';')[0]?.trim();
    return type === mediaType || type === '*/*';
  });
}

/** The bytes of a blob, whole or the one range that was asked for. */
export function getBlob(bytes: Buffer, digest: string, range: string | undefined): Answer {
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
  };
  const wanted = range === undefined ? undefined : parseRange(range, bytes.length);
  if (wanted === undefined) return answer(200, headers, bytes);
  if (wanted === 'outside') return answer(416, { ...headers, 'content-range': `bytes */${bytes.length}` });
  const { start, end } = wanted;
  const contentRange = `bytes ${start}-${end - 1}/${bytes.length}`;
  const part = answer(206, { ...headers, 'content-range': contentRange }, bytes.subarray(start, end));
  part.whole = bytes;
  return part;
}

/** A `Range` header as a half-open range; `undefined` when it is to be ignored (several ranges, another unit). */
export function parseRange(text: string, size: number): { start: number; end: number } | 'outside' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return undefined;
    return Number(last) === 0 || size === 0 ? 'outside' : { start: Math.max(0, size - Number(last)), end: size };
  }
  if (last !== '' && Number(last) < Number(first)) return undefined;
  if (Number(first) >= size) return 'outside';
  return { start: Number(first), end: last === '' ? size : Math.min(size, Number(last) + 1) };
}

/** One page of a sorted list of names, with the `Link` to the next. */
function page(
  names: readonly string[],
  url: URL,
  pageSize: number | undefined,
  body: (page: readonly string[]) => unknown,
): Answer {
  const sorted = [...names].sort((a, b) => (a < b ? -1 : 1));
  const last = url.searchParams.get('last');
  const rest = last === null ? sorted : sorted.filter((name) => name > last);
  const asked = url.searchParams.get('n');
  const limit = Math.min(
    asked === null ? Number.POSITIVE_INFINITY : Number(asked),
    pageSize ?? Number.POSITIVE_INFINITY,
  );
  const shown = rest.slice(0, limit);
  const end = shown.at(-1);
  if (shown.length === rest.length || end === undefined) return json(200, body(shown));
  const next = `${url.pathname}?n=${limit}&last=${encodeURIComponent(end)}`;
  return json(200, body(shown), { link: `<${next}>; rel="next"` });
}

/** The tags of a repository, paged. */
export function listTags(content: RegistryContent, repository: string, url: URL, pageSize?: number): Answer {
  const found = content.repositories.get(repository);
  if (found === undefined)
    return failure(404, 'NAME_UNKNOWN', 'repository name not known to registry', { name: repository });
  return page([...found.tags.keys()], url, pageSize, (tags) => ({ name: repository, tags }));
}

/** The repositories, paged. */
export function listRepositories(content: RegistryContent, url: URL, pageSize?: number): Answer {
  return page([...content.repositories.keys()], url, pageSize, (repositories) => ({ repositories }));
}

/** The referrers of a manifest as an index, filtered by `artifactType`, paged by an offset. */
export function listReferrers(
  content: RegistryContent,
  repository: string,
  digest: Digest | string,
  url: URL,
  pageSize = Number.POSITIVE_INFINITY,
): Answer {
  if (!isDigest(digest)) return failure(400, 'DIGEST_INVALID', 'invalid digest', { digest });
  const type = url.searchParams.get('artifactType');
  const from = Number(url.searchParams.get('from') ?? 0);
  const all = content.referrers(repository, digest).filter((entry) => type === null || entry['artifactType'] === type);
  const manifests = all.slice(from, from + pageSize);
  const filter = type === null ? '' : `&artifactType=${encodeURIComponent(type)}`;
  return json(
    200,
    { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests },
    {
      'content-type': MediaType.ociIndex,
      'oci-filters-applied': type === null ? undefined : 'artifactType',
      link: from + pageSize < all.length ? `<${url.pathname}?from=${from + pageSize}${filter}>; rel="next"` : undefined,
    },
  );
}
