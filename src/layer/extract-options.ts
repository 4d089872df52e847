/** What can be said to the verbs that extract, with its defaults, checked. */
import { availableParallelism } from 'node:os';
import { DEFAULT_MAX_LAYER_BYTES, DEFAULT_MAX_RATIO } from '../codec/open-inflater.js';
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { oneOf } from '../io/one-of.js';

/** Limits against bombs, for every verb that uncompresses. */
export interface LayerLimits {
  /** Largest uncompressed layer in bytes; 64 GiB when absent. */
  readonly maxLayerSize?: number | undefined;
  /** Largest ratio of uncompressed to compressed bytes, once more than 1 GiB came out; 1,000 when absent. */
  readonly maxRatio?: number | undefined;
}

/** Options of `extractLayer`, `extractLayers` and `openRootFS`. */
export interface ExtractOptions extends CallOptions, LayerLimits {
  /** Transfers at once, 1 to 64; 6 when absent. */
  readonly jobs?: number | undefined;
  /** Layers worked on at once, 1 to 256; as many as there are cores, 256 at most, when absent. */
  readonly workers?: number | undefined;
  /** `'cached'` (default) believes layers that are as the store remembers them; `'always'` hashes them again. */
  readonly verify?: 'cached' | 'always' | undefined;
  /** `'layer'` (default) brings each layer to disk before its name appears; `'none'` leaves that to the system. */
  readonly fsync?: 'layer' | 'none' | undefined;
  /** Whether broken transfers of earlier runs are continued. Default true. */
  readonly resume?: boolean | undefined;
  /** Most ranges of one large blob at once, 1 to 32, where the source says that it helps; 8 when absent. */
  readonly parallelRanges?: number | undefined;
}

/** The options with every default filled in. */
export interface ExtractSettings extends CallOptions {
  readonly jobs: number;
  readonly workers: number;
  readonly verify: 'cached' | 'always';
  readonly fsync: 'layer' | 'none';
  readonly maxLayerSize: number;
  readonly maxRatio: number;
  readonly resume: boolean;
  readonly parallelRanges: number;
}

const MOST_WORKERS = 256;

/** Checks options and fills in what is absent. @throws RootfsError `ERR_OPTION_INVALID` with the bad value */
export function extractSettings(options: ExtractOptions): ExtractSettings {
  return {
    signal: options.signal,
    onProgress: options.onProgress,
    jobs: whole('jobs', options.jobs ?? 6, 1, 64),
    workers: whole('workers', options.workers ?? Math.min(availableParallelism(), MOST_WORKERS), 1, MOST_WORKERS),
    verify: oneOf('verify', options.verify ?? 'cached', ['cached', 'always']),
    fsync: oneOf('fsync', options.fsync ?? 'layer', ['layer', 'none']),
    ...layerLimits(options),
    resume: flag('resume', options.resume ?? true),
    parallelRanges: whole('parallelRanges', options.parallelRanges ?? 8, 1, 32),
  };
}

/** Checks limits and fills in what is absent. @throws RootfsError `ERR_OPTION_INVALID` with the bad value */
export function layerLimits(options: LayerLimits): { readonly maxLayerSize: number; readonly maxRatio: number } {
  return {
    maxLayerSize: whole('maxLayerSize', options.maxLayerSize ?? DEFAULT_MAX_LAYER_BYTES, 0, Number.MAX_SAFE_INTEGER),
    maxRatio: whole('maxRatio', options.maxRatio ?? DEFAULT_MAX_RATIO, 1, Number.MAX_SAFE_INTEGER),
  };
}

function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, value, `a whole number from ${least} to ${most}`);
}

function flag(name: string, value: boolean): boolean {
  if (typeof value === 'boolean') return value;
  throw invalid(name, value, 'true or false');
}

function invalid(name: string, value: unknown, expected: string): RootfsError {
  const found = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return new RootfsError('ERR_OPTION_INVALID', `${name}: ${found} cannot be used; give ${expected}`, {
    detail: { option: name, value: found },
  });
}
