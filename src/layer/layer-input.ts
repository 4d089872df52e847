/** Where a layer's compressed bytes come from: the descriptor itself, a local file, or a source over a spool. */
import { closeSync, constants, openSync } from 'node:fs';
import type { BlobPath, CallOptions, Distruster, Fetcher, ParallelFetcher } from '../content/content.js';
import { embeddedContent } from '../content/fetch-verified.js';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { LayerControl } from './layer-control.js';
import type { LayerInput } from './layer-task.js';

/** What layers come from: a fetcher with the powers that it may have. */
export type LayerSource = Fetcher & Partial<BlobPath> & Partial<ParallelFetcher> & Partial<Distruster>;

/** Bytes that are on this machine already. */
export interface LocalInput {
  readonly input: LayerInput;
  close(): Promise<void>;
}

/**
 * Opens a layer's bytes where no transfer is needed, and says in `control` that all of them are there; `undefined`
 * where they must be fetched. They are not verified.
 *
 * @throws RootfsError `ERR_NOT_FOUND`, `ERR_PERMISSION`, `ERR_FILESYSTEM`; `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`
 *   for embedded content
 */
export async function openLocalInput(
  source: LayerSource,
  target: Descriptor,
  control: LayerControl,
  call: CallOptions,
): Promise<LocalInput | undefined> {
  const embedded = embeddedContent(target);
  if (embedded !== undefined) {
    const bytes = new Uint8Array(new SharedArrayBuffer(embedded.length));
    bytes.set(embedded);
    control.available = bytes.length;
    control.finish();
    return { input: { kind: 'memory', bytes }, async close() {} };
  }
  const location = await source.blobPath?.(target, call);
  if (location === undefined) return undefined;
  try {
    // Never waits: not even for the other end of a pipe that came into its place.
    const fd = openSync(location.path, constants.O_RDONLY | constants.O_NONBLOCK);
    control.available = location.size;
    control.finish();
    const { path, offset } = location;
    return { input: { kind: 'file', fd, offset, path }, close: async () => closeSync(fd) };
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw wrapSystemError(error, location.path);
    throw new RootfsError('ERR_NOT_FOUND', `${target.digest}: ${location.path} is gone; bring it back and try again`, {
      cause: error,
      detail: { digest: target.digest, path: location.path },
    });
  }
}
