/** Who brought which content, who is not asked for it again, and what is not there. */
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { isLoopbackHost } from '../spec/reference.js';
import type { Endpoint } from './endpoint.js';
import { isManifestContent } from './manifest-answer.js';
import type { WireResponse } from './wire.js';

/** Blobs from this size on may be split into ranges, in bytes. */
const PARALLEL_BYTES = 32 * 1024 * 1024;

/** Ranges at once under `auto`. */
const PARALLEL_RANGES = 4;

/** Of how many blobs each of these things is remembered; then it begins anew. */
const MAX_REMEMBERED = 10_000;

/** What an answer showed of Range: that it is honoured, that it is ignored or refused, or no more than an offer. */
export type RangeSign = 'honoured' | 'refused' | 'offered';

/** What an answer of the whole says of Range; `undefined` where it says nothing. */
export function rangeOffer({ headers }: WireResponse): RangeSign | undefined {
  const value = headers.get('accept-ranges')?.toLowerCase();
  return value === undefined ? undefined : value === 'bytes' ? 'offered' : 'refused';
}

/** What the endpoints of a repository showed of themselves. */
export class ServedContent {
  /** By endpoint, and there by the origin that answered: a registry and the storage that it redirects to differ. */
  readonly #ranges = new Map<string, Map<string, boolean>>();
  /** What nobody is asked for in ranges any more. */
  readonly #unsplit = new Set<Digest>();
  readonly #servedBy = new Map<Digest, Set<string>>();
  readonly #distrusted = new Map<Digest, Set<string>>();
  readonly #lastServer = new Map<Digest, string>();
  /** Blobs that were asked for a moment ago and were not there. */
  readonly #absent = new Set<Digest>();
  #lastEndpoint: string | undefined;

  /** Content was served. @param origin Who answered, after redirects. @param sign What that showed of Range, if anything. */
  note(digest: Digest, endpoint: Endpoint, origin: string, sign: RangeSign | undefined): void {
    this.#lastEndpoint = endpoint.baseUrl;
    makeRoom(this.#lastServer);
    this.#lastServer.set(digest, endpoint.baseUrl);
    if (sign === 'refused') this.refused(digest, endpoint, origin);
    else if (sign !== undefined) this.#noteRanges(endpoint, origin, sign === 'honoured' || undefined);
    if (endpoint.mirrorOf === undefined) return;
    const served = this.#servedBy.get(digest) ?? new Set<string>();
    served.add(endpoint.baseUrl);
    makeRoom(this.#servedBy);
    this.#servedBy.set(digest, served);
  }

  /** A range was refused or ignored: this content is fetched in one piece from now on. An offer does not undo it. */
  refused(digest: Digest, endpoint: Endpoint, origin: string): void {
    makeRoom(this.#unsplit);
    this.#unsplit.add(digest);
    this.#noteRanges(endpoint, origin, false);
  }

  /** @param shown Whether ranges are honoured; undefined: it says so, which counts while nothing else is known. */
  #noteRanges({ baseUrl }: Endpoint, origin: string, shown: boolean | undefined): void {
    const origins = this.#ranges.get(baseUrl) ?? new Map<string, boolean>();
    origins.set(origin, shown ?? origins.get(origin) ?? true);
    this.#ranges.set(baseUrl, origins);
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
    makeRoom(this.#distrusted);
    this.#distrusted.set(digest, distrusted);
    return distrusted.size > before;
  }

  /** The registry was asked whether it has a blob, or was given it. */
  noteThere(digest: Digest, isThere: boolean): void {
    this.#absent.delete(digest);
    if (isThere) return;
    makeRoom(this.#absent);
    this.#absent.add(digest);
  }

  /** Whether a blob was missing a moment ago: pushing it needs no second question. True once. */
  takeAbsent(digest: Digest): boolean {
    return this.#absent.delete(digest);
  }

  /** How many ranges of a blob are worth fetching at once from the endpoint that served it, or anything else, last. */
  parallelism(target: Descriptor, wanted: number | 'auto'): number {
    if (isManifestContent(target.mediaType) || this.#unsplit.has(target.digest)) return 1;
    const last = this.#lastServer.get(target.digest) ?? this.#lastEndpoint;
    const shown = [...(this.#ranges.get(last ?? '')?.values() ?? [])];
    if (shown.includes(false)) return 1;
    if (wanted !== 'auto') return wanted;
    if (target.size < PARALLEL_BYTES || last === undefined || shown.length === 0) return 1;
    return isLoopbackHost(new URL(last).hostname) ? 1 : PARALLEL_RANGES;
  }
}

/** A client may live for months, and see more content than memory holds. */
function makeRoom(remembered: { readonly size: number; clear(): void }): void {
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
}
