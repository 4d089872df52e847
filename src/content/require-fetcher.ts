/** What callers without a type checker hand in where content is to be fetched. */
import { partError } from '../io/part-error.js';

/** Checks that there is a source to fetch from. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireFetcher(source: unknown): void {
  const { fetch } = (source ?? {}) as { readonly fetch?: unknown };
  if (typeof fetch === 'function') return;
  throw partError('source', 'something to fetch content from', source, 'open one with openSource');
}

/** Checks that a descriptor says which bytes are meant. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireDescriptor(descriptor: unknown, option: string): void {
  const { digest, size } = (descriptor ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof digest === 'string' && typeof size === 'number') return;
  throw partError(option, 'a descriptor with digest and size', descriptor, 'take it from a manifest');
}
