/** What callers without a type checker hand in where the name of an image belongs. */
import { RootfsError } from '../errors.js';

/** Checks that a reference is text; an empty one is. @throws RootfsError `ERR_REFERENCE_INVALID` */
export function requireReference(reference: unknown, place: string): void {
  if (typeof reference === 'string') return;
  const found = reference === null ? 'null' : typeof reference;
  throw new RootfsError(
    'ERR_REFERENCE_INVALID',
    `${place}: the name of an image must be text, found ${found}; give a tag, a digest, or an empty text for none`,
    { detail: { place, value: found } },
  );
}
