/** What callers without a type checker hand in where an image is to be read, or to be put. */
import { requireReference } from '../content/require-reference.js';
import { partError } from '../io/part-error.js';

/**
 * Checks that there is a source to ask, and text to ask it for; an empty reference is one.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_REFERENCE_INVALID`
 */
export function requireSource(source: unknown, reference: unknown): void {
  const { resolve } = (source ?? {}) as { readonly resolve?: unknown };
  if (typeof resolve !== 'function') {
    throw partError('source', 'something to read images from', source, 'open one with openSource');
  }
  requireReference(reference, 'reference');
}

/** Checks that there is a store to put an image into, and its name there. @throws RootfsError as `requireSource` */
export function requireDestination(destination: unknown, reference: unknown): void {
  const { push } = (destination ?? {}) as { readonly push?: unknown };
  if (typeof push !== 'function') {
    throw partError('destination', 'a store that takes content', destination, 'open one with OciLayout.open');
  }
  requireReference(reference, 'destinationReference');
}
