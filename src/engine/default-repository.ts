/** The repository that a reference names, opened as this machine is configured: what the cache starts from. */
import type { ReadOnlyTarget } from '../content/content.js';
import type { OpenRegistryOptions } from '../registry/open-repository.js';
import { formatReference, type Reference } from '../spec/reference.js';

/**
 * Makes a factory that opens repositories with the credentials, mirrors and certificates found on this machine, or
 * those that `options` give instead. Nothing is loaded before it is called.
 */
export function defaultRepository(
  options: OpenRegistryOptions = {},
): (reference: Reference) => Promise<ReadOnlyTarget> {
  return async (reference) => {
    const { openRepository } = await import('../registry/open-repository.js');
    return (await openRepository(formatReference(reference), options)).repository;
  };
}
