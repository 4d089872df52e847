/** What callers without a type checker hand in where an image is to be read. */
import { RootfsError } from '../errors.js';

/**
 * Checks that there is a source to ask, and text to ask it for; an empty reference is one.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function requireSource(source: unknown, reference: unknown): void {
  const { resolve } = (source ?? {}) as { readonly resolve?: unknown };
  if (typeof resolve !== 'function') {
    throw invalid('source', 'expected something to read images from', source, 'open one with openSource');
  }
  if (typeof reference !== 'string') {
    throw invalid('reference', 'expected text', reference, 'give a tag, a digest, or an empty text for the only image');
  }
}

function invalid(option: string, expected: string, value: unknown, advice: string): RootfsError {
  const found = value === null ? 'null' : typeof value;
  return new RootfsError('ERR_OPTION_INVALID', `${option}: ${expected}, found ${found}; ${advice}`, {
    detail: { option, value: found },
  });
}
