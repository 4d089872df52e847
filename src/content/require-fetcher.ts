/** What callers without a type checker hand in where content is to be fetched. */
import { partError } from '../io/part-error.js';

/** Checks that there is a source to fetch from. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireFetcher(source: unknown): void {
  const { fetch } = (source ?? {}) as { readonly fetch?: unknown };
  if (typeof fetch === 'function') return;
  throw partError('source', 'something to fetch content from', source, 'open one with openSource');
}

/** Checks that a descriptor has what each must have. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireDescriptor(descriptor: unknown, option: string): void {
  const { digest, size, mediaType } = (descriptor ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof digest === 'string' && typeof size === 'number' && typeof mediaType === 'string') return;
  throw partError(option, 'a descriptor with mediaType, digest and size', descriptor, 'take it from a manifest');
}
