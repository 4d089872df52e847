/** What a request to a registry is about, told from its method and path. Pure. */

/**
 * What a request is about. `storage` is a blob at the place a redirect points to, `token` a token server,
 * `upload` everything that pushes a blob, `other` no part of the protocol.
 */
export type RequestKind =
  | 'ping'
  | 'manifest'
  | 'blob'
  | 'tags'
  | 'catalog'
  | 'referrers'
  | 'upload'
  | 'token'
  | 'storage'
  | 'other';

/** A request's subject. */
export interface Route {
  readonly kind: RequestKind;
  readonly repository?: string | undefined;
  /** A tag or digest (`manifest`), a digest (`blob`, `referrers`, `storage`), an upload's id (`upload`). */
  readonly reference?: string | undefined;
}

const IN_REPOSITORY: readonly (readonly [RequestKind, RegExp])[] = [
  ['tags', /^\/v2\/(.+)\/tags\/list$/],
  ['upload', /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/],
  ['blob', /^\/v2\/(.+)\/blobs\/([^/]+)$/],
  ['manifest', /^\/v2\/(.+)\/manifests\/([^/]+)$/],
  ['referrers', /^\/v2\/(.+)\/referrers\/([^/]+)$/],
];

/** Reads a path (without its query, and without what stands before it at the second origin). */
export function routeOf(path: string): Route {
  if (path === '/v2/' || path === '/v2') return { kind: 'ping' };
  if (path === '/v2/_catalog') return { kind: 'catalog' };
  if (path === '/token') return { kind: 'token' };
  for (const [kind, pattern] of IN_REPOSITORY) {
    const match = pattern.exec(path);
    if (match !== null) return { kind, repository: match[1], reference: match[2] };
  }
  return { kind: 'other' };
}
