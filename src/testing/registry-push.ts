/** The writing half of the protocol: uploads in every form, manifests, deletion. @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#push */
import type { Digest } from '../spec/digest.js';
import { digestOf } from './built.js';
import { type Answer, answer, failure } from './registry-answer.js';
import { hashesTo, type RegistryContent, type Upload } from './registry-content.js';

/** What an upload request carries. */
export interface UploadRequest {
  readonly method: string;
  readonly url: URL;
  readonly repository: string;
  /** The upload's id; empty for the request that starts one. */
  readonly id: string;
  readonly contentRange: string | undefined;
  readonly body: Buffer;
  /** Whether blobs of other repositories can be mounted. */
  readonly mounts: boolean;
}

/** Starts, continues, finishes, asks after or cancels an upload. */
export function upload(content: RegistryContent, request: UploadRequest): Answer {
  const { method, url, repository, body } = request;
  const digest = url.searchParams.get('digest');
  if (request.id === '') return method === 'POST' ? start(content, request, digest) : notAllowed();
  const uploads = content.repository(repository).uploads;
  const open = uploads.get(request.id);
  if (open === undefined) return failure(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  if (method === 'GET') return progress(204, repository, open);
  if (method === 'DELETE') {
    uploads.delete(open.id);
    return answer(204);
  }
  if (method !== 'PATCH' && method !== 'PUT') return notAllowed();
  const range = /^(?:bytes[ =])?(\d+)-(\d+)/.exec(request.contentRange ?? '');
  if (range !== null && Number(range[1]) !== open.received) return progress(416, repository, open);
  open.chunks.push(body);
  open.received += body.length;
  if (method === 'PATCH') return progress(202, repository, open);
  uploads.delete(open.id);
  return finish(content, repository, digest ?? '', Buffer.concat(open.chunks));
}

function start(
  content: RegistryContent,
  { url, repository, body, mounts }: UploadRequest,
  digest: string | null,
): Answer {
  const mount = url.searchParams.get('mount');
  const from = url.searchParams.get('from');
  if (mounts && mount !== null && from !== null && content.blob(from, mount as Digest) !== undefined) {
    content.repository(repository).blobs.add(mount as Digest);
    return created(`/v2/${repository}/blobs/${mount}`, mount);
  }
  if (digest !== null) return finish(content, repository, digest, body);
  return progress(202, repository, content.startUpload(repository));
}

function progress(status: number, repository: string, open: Upload): Answer {
  return answer(status, {
    location: `/v2/${repository}/blobs/uploads/${open.id}`,
    range: `0-${Math.max(0, open.received - 1)}`,
    'docker-upload-uuid': open.id,
  });
}

function finish(content: RegistryContent, repository: string, digest: string, bytes: Buffer): Answer {
  if (content.commit(repository, digest, bytes)) return created(`/v2/${repository}/blobs/${digest}`, digest);
  return failure(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', { digest });
}

function created(location: string, digest: string): Answer {
  return answer(201, { location, 'docker-content-digest': digest });
}

function notAllowed(): Answer {
  return failure(405, 'UNSUPPORTED', 'the operation is unsupported');
}

/** Stores a manifest under a tag or its digest; everything it names must be there. */
export function putManifest(
  content: RegistryContent,
  repository: string,
  reference: string,
  mediaType: string | undefined,
  body: Buffer,
  keepsReferrers: boolean,
): Answer {
  let missing: string[];
  let subject: string | undefined;
  try {
    missing = content.unknownTo(repository, body);
    subject = (JSON.parse(body.toString()) as { subject?: { digest?: string } }).subject?.digest;
  } catch {
    return failure(400, 'MANIFEST_INVALID', 'manifest invalid');
  }
  if (missing.length > 0) return failure(404, 'MANIFEST_BLOB_UNKNOWN', 'manifest references unknown content', missing);
  const byDigest = reference.includes(':');
  if (byDigest && !hashesTo(body, reference)) {
    return failure(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  const digest = byDigest ? (reference as Digest) : digestOf(body);
  const into = content.repository(repository);
  into.manifests.set(digest, { mediaType: mediaType ?? 'application/json', bytes: body });
  if (!byDigest) into.tags.set(reference, digest);
  return answer(201, {
    location: `/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
    'oci-subject': keepsReferrers ? subject : undefined,
  });
}

/** Removes a tag, or a manifest with its tags. */
export function deleteManifest(content: RegistryContent, repository: string, reference: string): Answer {
  const found = content.repositories.get(repository);
  if (found === undefined) return failure(404, 'NAME_UNKNOWN', 'repository name not known to registry');
  if (!reference.includes(':')) {
    return found.tags.delete(reference) ? answer(202) : failure(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  }
  if (!found.manifests.delete(reference as Digest)) return failure(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  for (const [tag, digest] of found.tags) if (digest === reference) found.tags.delete(tag);
  return answer(202);
}

/** Removes a blob from a repository. */
export function deleteBlob(content: RegistryContent, repository: string, digest: string): Answer {
  const removed = content.repositories.get(repository)?.blobs.delete(digest as Digest) === true;
  return removed ? answer(202) : failure(404, 'BLOB_UNKNOWN', 'blob unknown to registry', { digest });
}
