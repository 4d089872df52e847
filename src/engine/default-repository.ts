/** The repository that a reference names, opened as this machine is configured: what the cache starts from. */
import type { ReadOnlyTarget } from '../content/content.js';
import { formatReference, type Reference } from '../spec/reference.js';

/**
 * Opens a repository with the credentials, mirrors and certificates found on this machine. Nothing is loaded before it
 * is called.
 */
export async function defaultRepository(reference: Reference): Promise<ReadOnlyTarget> {
  const { openRepository } = await import('../registry/open-repository.js');
  return (await openRepository(formatReference(reference), {})).repository;
}
