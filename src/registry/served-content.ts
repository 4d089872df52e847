/** Who brought which content, and who is not asked for it again. */
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isLoopbackHost } from '../spec/reference.js';
import type { Endpoint } from './endpoint.js';
import { isManifestContent } from './manifest-answer.js';

/** Blobs from this size on may be split into ranges, in bytes. */
const PARALLEL_BYTES = 32 * 1024 * 1024;

/** Ranges at once under `auto`. */
const PARALLEL_RANGES = 4;

/** What the endpoints of a repository showed of themselves. */
export class ServedContent {
  readonly #ranges = new Map<string, boolean>();
  readonly #servedBy = new Map<Digest, Set<string>>();
  readonly #distrusted = new Map<Digest, Set<string>>();
  #lastEndpoint: string | undefined;

  /** @param ranges Whether the endpoint honours Range, where that was seen. */
  note(digest: Digest, endpoint: Endpoint, ranges: boolean | undefined): void {
    this.#lastEndpoint = endpoint.baseUrl;
    if (ranges !== undefined) this.#ranges.set(endpoint.baseUrl, ranges);
    if (endpoint.mirrorOf === undefined) return;
    const served = this.#servedBy.get(digest) ?? new Set<string>();
    served.add(endpoint.baseUrl);
    this.#servedBy.set(digest, served);
  }

  /** Base URLs that are not to be asked for this content while there is another one. */
  distrusted(digest: Digest): ReadonlySet<string> {
    return this.#distrusted.get(digest) ?? new Set();
  }

  /** Distrusts the mirrors that brought this content last. @returns whether fetching again asks somebody else */
  distrust(digest: Digest): boolean {
    const served = this.#servedBy.get(digest);
    if (served === undefined) return false;
    const distrusted = this.#distrusted.get(digest) ?? new Set<string>();
    const before = distrusted.size;
    for (const mirror of served) distrusted.add(mirror);
    this.#servedBy.delete(digest);
    this.#distrusted.set(digest, distrusted);
    return distrusted.size > before;
  }

  /** How many ranges of a blob are worth fetching at once from the endpoint that served last. */
  parallelism(target: Descriptor, wanted: number | 'auto'): number {
    if (isManifestContent(target.mediaType)) return 1;
    const last = this.#lastEndpoint;
    const honoured = last === undefined ? undefined : this.#ranges.get(last);
    if (wanted !== 'auto') return honoured === false ? 1 : wanted;
    if (target.size < PARALLEL_BYTES || last === undefined || honoured !== true) return 1;
    return isLoopbackHost(new URL(last).hostname) ? 1 : PARALLEL_RANGES;
  }
}
