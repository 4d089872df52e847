/** A layer that its image says is at a URL, for sources that are no registry. */
import type { Readable } from 'node:stream';
import type { FetchOptions } from '../content/content.js';
import type { RootfsError } from '../errors.js';
import type { Descriptor } from '../spec/descriptor.js';
import { fetchBlob } from './fetch-blob.js';
import { type RegistryOptions, registrySettings } from './registry-options.js';
import { RegistrySession } from './registry-session.js';

/** Fetches content by the `urls` of its descriptor; its bytes are not verified. */
export interface ForeignFetcher {
  /**
   * Asks the URLs in order, as nobody; a connection that breaks goes on by Range.
   *
   * @param absent What is thrown where none of the URLs can be asked: not http(s), with a password in it.
   * @throws RegistryError, RootfsError as `fetchBlob`; `absent`
   */
  fetch(target: Descriptor, absent: RootfsError, options?: FetchOptions): Promise<Readable>;
}

/**
 * Makes a fetcher that reaches hosts as the options say.
 *
 * @param place What errors name: where the content should have been.
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function createForeignFetcher(place: string, options: RegistryOptions = {}): ForeignFetcher {
  const session = new RegistrySession(place, '', registrySettings(options));
  return {
    fetch: (target, absent, fetchOptions = {}) => {
      const subject = { kind: 'blob', registry: place, repository: '', name: `${place}@${target.digest}` } as const;
      return fetchBlob(
        target,
        { session, subject, absent, distrusted: new Set(), served: () => {}, refused: () => {} },
        fetchOptions,
      );
    },
  };
}
