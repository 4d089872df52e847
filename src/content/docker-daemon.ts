/**
 * Images of a Docker Engine (or of podman's service), over its API: one request that gives a docker-archive, after one
 * that makes sure that an engine answers, and one for the names where all tags are wanted.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Image/operation/ImageGet
 */
import { RootfsError, systemErrorCode } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { readLimited } from '../io/limit.js';
import { familiarReference, parseReference, type Reference, refuseReserved, splitImage } from '../spec/reference.js';
import { type ArchiveOptions, spoolArchive } from './archive-file.js';
import { DockerArchive } from './docker-archive.js';
import { askEngine, type EngineOptions, pingEngine, unreachable } from './docker-engine.js';
import { requireReference } from './require-reference.js';

/** Options of `openDockerDaemon`. */
export interface DockerDaemonOptions extends ArchiveOptions, EngineOptions {
  /**
   * Whether a name without a tag stands for all tags that the engine lists for it. Default false: it stands for
   * `latest`.
   */
  readonly allTags?: boolean | undefined;
}

/**
 * Opens an image of a Docker Engine for reading: it is copied into a temporary file, which `close` removes. Its one
 * image needs no reference.
 *
 * @param reference A name with or without a tag (`latest`), or an image id: twelve digits of it, or more.
 * @throws RootfsError `ERR_REFERENCE_INVALID` (no name, or `scratch`, which no engine has), `ERR_NOT_FOUND` (the
 *   engine has no such image), `ERR_NETWORK` (no engine there), `ERR_TIMEOUT` (it is silent), `ERR_PERMISSION`,
 *   `ERR_DENIED`, `ERR_OPTION_INVALID` (a host of another kind, no time), `ERR_REGISTRY` (any other answer, or no engine's), and as
 *   `DockerArchive.open`; the abort's reason
 */
export async function openDockerDaemon(reference: string, options: DockerDaemonOptions = {}): Promise<DockerArchive> {
  requireReference(reference, 'docker-daemon');
  // Half of a surrogate pair is no text, and cannot be sent.
  if (reference === '' || reference.length > 4096 || /\p{Surrogate}/u.test(reference)) {
    throw new RootfsError(
      'ERR_REFERENCE_INVALID',
      `docker-daemon: ${JSON.stringify(reference.slice(0, 200))} is no image; give a name or an id`,
    );
  }
  const place = `docker-daemon:${reference}`;
  const image = imageOf(reference, place, options.allTags === true);
  // Slashes and colons stand for themselves in this path: engines match the rest of it as the name.
  const name = encodeURIComponent(image).replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%40/g, '@');
  await pingEngine(place, options);
  const all = options.allTags === true && image === reference ? await namesOf(image, place, options) : [];
  const path =
    all.length === 0
      ? `/images/${name}/get`
      : `/images/get?${all.map((one) => `names=${encodeURIComponent(one)}`).join('&')}`;
  const request = { method: 'GET', path, place, works: 'before' } as const;
  const answer = await askEngine(request, options);
  try {
    return await DockerArchive.read(await spoolArchive(answer, place, options), options.signal);
  } catch (error) {
    answer.destroy();
    throwIfAborted(options.signal);
    throw systemErrorCode(error) === undefined ? error : unreachable(error, options.host, place);
  }
}

/** The longest list of images that is read, in bytes. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;

/**
 * The names in full that an engine lists for a name without a tag. Docker gives all of them when it is asked for the
 * name alone, podman `latest`. None where that is no such name, or where the engine tells no list.
 */
async function namesOf(text: string, place: string, options: DockerDaemonOptions): Promise<readonly string[]> {
  const wanted = repositoryOf(text);
  const { tag, digest } = splitImage(text);
  if (ID.test(text) || wanted === undefined || tag !== undefined || digest !== undefined) return [];
  const filters = encodeURIComponent(JSON.stringify({ reference: [familiarReference({ ...wanted, given: '' })] }));
  let listed: unknown;
  try {
    const answer = await askEngine({ method: 'GET', path: `/images/json?filters=${filters}`, place }, options);
    listed = JSON.parse((await readLimited(answer, MAX_LIST_BYTES, place)).toString('utf8'));
  } catch (error) {
    throwIfAborted(options.signal);
    if (error instanceof RootfsError && (error.code === 'ERR_TIMEOUT' || error.code === 'ERR_NETWORK')) throw error;
    return [];
  }
  const images = (Array.isArray(listed) ? listed : []) as readonly ({ readonly RepoTags?: unknown } | null)[];
  const names = images.flatMap((one) => (Array.isArray(one?.RepoTags) ? (one.RepoTags as unknown[]) : []));
  return [...new Set(names)].filter((one): one is string => {
    const found = typeof one === 'string' ? repositoryOf(one) : undefined;
    return found?.registry === wanted.registry && found.repository === wanted.repository;
  });
}

function repositoryOf(text: string): Pick<Reference, 'registry' | 'repository'> | undefined {
  try {
    const { registry, repository } = parseReference(text);
    return { registry, repository };
  } catch {
    return undefined;
  }
}

/** What Docker shows of an id, or more of it; nobody calls an image so. */
const ID = /^[0-9a-f]{12,64}$/;

/** What an engine is asked for: of a name alone, Docker would give all tags. */
function imageOf(text: string, place: string, allTags: boolean): string {
  if (ID.test(text)) return text;
  let reference: Reference;
  try {
    reference = parseReference(text);
  } catch {
    // The engine says what it thinks of it.
    return text;
  }
  refuseReserved(reference, place);
  const { name, tag, digest } = splitImage(text);
  return allTags || tag !== undefined || digest !== undefined ? text : `${name}:latest`;
}
