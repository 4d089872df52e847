/**
 * Images of a Docker Engine (or of podman's service), over its API: one request that gives a docker-archive, after one
 * that makes sure that an engine answers.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Image/operation/ImageGet
 */
import { RootfsError, systemErrorCode } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { parseReference, type Reference, refuseReserved, splitImage } from '../spec/reference.js';
import { type ArchiveOptions, spoolArchive } from './archive-file.js';
import { DockerArchive } from './docker-archive.js';
import { askEngine, type EngineOptions, pingEngine, unreachable } from './docker-engine.js';
import { requireReference } from './require-reference.js';

/** Options of `openDockerDaemon`. */
export interface DockerDaemonOptions extends ArchiveOptions, EngineOptions {
  /**
   * Whether a name without a tag stands for all its tags, as far as the engine gives them (Docker does, podman gives
   * `latest`). Default false: it stands for `latest`.
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
  if (reference === '' || reference.length > 4096) {
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
  const request = { method: 'GET', path: `/images/${name}/get`, place, works: 'before' } as const;
  const answer = await askEngine(request, options);
  try {
    return await DockerArchive.read(await spoolArchive(answer, place, options), options.signal);
  } catch (error) {
    answer.destroy();
    throwIfAborted(options.signal);
    throw systemErrorCode(error) === undefined ? error : unreachable(error, options.host, place);
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
