/** What callers without a type checker hand in where an image is to be read, or to be put. */
import { partError } from '../io/part-error.js';

/**
 * Checks that there is a source to ask, and text to ask it for; an empty reference is one.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function requireSource(source: unknown, reference: unknown): void {
  const { resolve } = (source ?? {}) as { readonly resolve?: unknown };
  if (typeof resolve !== 'function') {
    throw partError('source', 'something to read images from', source, 'open one with openSource');
  }
  if (typeof reference !== 'string') {
    throw partError('reference', 'text', reference, 'give a tag, a digest, or an empty text for the only image');
  }
}

/** Checks that there is a store to put an image into, and its name there. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireDestination(destination: unknown, reference: unknown): void {
  const { push } = (destination ?? {}) as { readonly push?: unknown };
  if (typeof push !== 'function') {
    throw partError('destination', 'a store that takes content', destination, 'open one with OciLayout.open');
  }
  if (typeof reference !== 'string') {
    throw partError('destinationReference', 'text', reference, 'give a tag, or an empty text for no name');
  }
}
