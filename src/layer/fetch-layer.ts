/** One layer as a stream of its uncompressed tar, without a store. */
import type { Readable } from 'node:stream';
import { requireLayerType } from '../codec/detect-compression.js';
import type { InflateOutput, Inflater } from '../codec/inflater.js';
import { openInflater } from '../codec/open-inflater.js';
import type { CallOptions, Fetcher } from '../content/content.js';
import { fetchVerified } from '../content/fetch-verified.js';
import { requireDescriptor, requireFetcher } from '../content/require-fetcher.js';
import { RootfsError } from '../errors.js';
import { abortStream } from '../io/abort.js';
import { readableOver } from '../io/as-readable.js';
import { Turns } from '../io/turns.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requirePossibleSize } from './compressed-limit.js';
import { type LayerLimits, layerLimits } from './extract-options.js';

/** Options of `fetchLayer`. */
export interface FetchLayerOptions extends CallOptions, LayerLimits {}

const PREFIX_BYTES = 16;
const BUFFER_BYTES = 64 * 1024;
/** Compressed bytes that are inflated at once; few, because a bomb makes 32,768 times as many of them. */
const SLICE_BYTES = 4 * 1024;

/**
 * Opens the uncompressed tar stream of one layer.
 *
 * The compressed side is checked against `layer` (digest, then size) before the end is reported; the uncompressed
 * side is not: `extractLayer` does that with the diffID. The caller owns the stream and must end or destroy it.
 * Inflating happens in this thread, for some milliseconds at a time, so that signals and other work get their turn.
 *
 * @param layer Descriptor of the compressed blob; `size` in bytes.
 * @throws RootfsError `ERR_MEDIA_TYPE_UNSUPPORTED`, `ERR_OPTION_INVALID`, `ERR_LIMIT_EXCEEDED`, what the source throws;
 *   from the stream also `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`, `ERR_DECOMPRESS`
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md
 */
export async function fetchLayer(
  source: Fetcher,
  layer: Descriptor,
  options: FetchLayerOptions = {},
): Promise<Readable> {
  const limits = layerLimits(options);
  requireFetcher(source);
  requireDescriptor(layer, 'layer');
  requireLayerType(layer.mediaType, layer.digest);
  requirePossibleSize(layer, limits.maxLayerSize);
  const compressed = await fetchVerified(source, layer, options);
  const turns = new Turns(options.signal);
  return abortStream(readableOver(compressed, inflateChunks(compressed, layer, limits, turns)), options.signal);
}

async function* inflateChunks(
  compressed: Readable,
  layer: Descriptor,
  limits: { readonly maxLayerSize: number; readonly maxRatio: number },
  turns: Turns,
): AsyncGenerator<Uint8Array, void, undefined> {
  const output = new PendingOutput();
  let inflater: Inflater | undefined;
  let early: Uint8Array = new Uint8Array(0);
  const open = (prefix: Uint8Array): Promise<Inflater> =>
    openInflater({
      ...{ subject: layer.digest, mediaType: layer.mediaType, prefix, output },
      ...{ maxBytes: limits.maxLayerSize, maxRatio: limits.maxRatio },
    });
  try {
    let damage: unknown;
    for await (const chunk of compressed as AsyncIterable<Uint8Array>) {
      let bytes = chunk;
      if (inflater === undefined) {
        bytes = early.length === 0 ? chunk : Buffer.concat([early, chunk]);
        early = bytes;
        if (bytes.length < PREFIX_BYTES) continue;
        inflater = await open(bytes);
      }
      // A stream that cannot be inflated is read to its end: that it is not the promised one is the truer reason.
      if (damage !== undefined) continue;
      try {
        for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
          inflater.push(bytes.subarray(at, at + SLICE_BYTES));
          // Not yield*: an array cannot be told of an abort, which newer Nodes take amiss.
          for (const part of output.take()) yield part;
          // One chunk of a source may be the whole layer, and make a thousand times as many bytes.
          if (turns.due(true)) await turns.take();
        }
      } catch (error) {
        if (!(error instanceof RootfsError) || error.code !== 'ERR_DECOMPRESS') throw error;
        damage = error;
      }
    }
    if (damage !== undefined) throw damage;
    if (inflater === undefined) {
      inflater = await open(early);
      inflater.push(early);
    }
    inflater.finish();
    for (const part of output.take()) yield part;
  } finally {
    inflater?.close();
  }
}

/** Keeps what came out until it is taken. Nothing handed out is written to again. */
class PendingOutput implements InflateOutput {
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #start = 0;
  #end = 0;
  #full: Uint8Array[] = [];

  space(): Uint8Array {
    return this.#buffer.subarray(this.#end);
  }

  filled(length: number): void {
    this.#end += length;
    if (this.#end < BUFFER_BYTES) return;
    this.#full.push(this.#buffer.subarray(this.#start));
    this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#start = 0;
    this.#end = 0;
  }

  take(): readonly Uint8Array[] {
    const taken = this.#full;
    this.#full = [];
    if (this.#end > this.#start) taken.push(this.#buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
    return taken;
  }
}
