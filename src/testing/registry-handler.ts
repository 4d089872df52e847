/** The right answer to a request: the protocol without faults and without credentials. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Digest } from '../spec/digest.js';
import { type Answer, answer, failure } from './registry-answer.js';
import type { RegistryContent } from './registry-content.js';
import type { RegistryOptions } from './registry-options.js';
import { getBlob, getManifest, listReferrers, listRepositories, listTags } from './registry-pull.js';
import { deleteBlob, deleteManifest, putManifest, upload } from './registry-push.js';
import type { Route } from './registry-route.js';

/** A request with its body. */
export interface RegistryRequest {
  readonly method: string;
  readonly url: URL;
  readonly route: Route;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const NO_PAGE = { 'content-type': 'text/plain; charset=utf-8' };
const PING = { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' };

/** Answers one request from `content`, which pushes and deletions change. */
export function handle(content: RegistryContent, request: RegistryRequest, options: RegistryOptions): Answer {
  const { url, route } = request;
  const { repository = '', reference = '' } = route;
  switch (route.kind) {
    case 'ping':
      return answer(200, PING, '{}');
    case 'catalog':
      return listRepositories(content, url, options.pageSize);
    case 'tags':
      return listTags(content, repository, url, options.pageSize);
    case 'manifest':
      return manifest(content, request, options);
    case 'blob':
      return blob(content, request);
    case 'upload': {
      const contentRange = request.headers['content-range'];
      return upload(content, { ...request, repository, id: reference, contentRange, mounts: options.mounts !== false });
    }
    case 'referrers':
      if (options.referrers === false) return answer(404, NO_PAGE, '404 page not found\n');
      return listReferrers(content, repository, reference, url, options.pageSize);
    default:
      return answer(404, NO_PAGE, '404 page not found\n');
  }
}

function manifest(content: RegistryContent, request: RegistryRequest, options: RegistryOptions): Answer {
  const { repository = '', reference = '' } = request.route;
  const { headers } = request;
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return getManifest(
        content,
        repository,
        reference,
        options.strictAccept === true ? (headers.accept ?? '') : undefined,
      );
    case 'PUT':
      return putManifest(
        content,
        repository,
        reference,
        headers['content-type'],
        request.body,
        options.referrers !== false,
      );
    case 'DELETE':
      return deleteManifest(content, repository, reference);
    default:
      return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
  }
}

function blob(content: RegistryContent, { method, route, headers }: RegistryRequest): Answer {
  const { repository = '', reference = '' } = route;
  if (method === 'DELETE') return deleteBlob(content, repository, reference);
  if (method !== 'GET' && method !== 'HEAD') return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
  const bytes = content.blob(repository, reference as Digest);
  if (bytes === undefined) return failure(404, 'BLOB_UNKNOWN', 'blob unknown to registry', { digest: reference });
  return getBlob(bytes, reference, method === 'GET' ? headers.range : undefined);
}
