/** Names of images in a cache: descriptors carry them, and the store has images under them. */
import type { CallOptions, Resolver } from '../content/content.js';
import { wrongAnswer } from '../io/part-error.js';
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { Digest } from '../spec/digest.js';
import { formatReference, parseReference, type Reference } from '../spec/reference.js';

/** What a name was resolved to last. */
export interface Meaning {
  readonly root: Descriptor;
  /** What is fetched for it: the root, or an image of it. */
  readonly targets: Set<Digest>;
  /** It is in the store, under its name. */
  isHere: boolean;
}

/** A descriptor that says what image it was asked for by. */
export function stamped(target: Descriptor, name: string): Descriptor {
  return { ...target, annotations: { ...target.annotations, [Annotation.refName]: name } };
}

/** What a descriptor was asked for by, where it says so. */
export function nameOf(target: Descriptor): string | undefined {
  return target.annotations?.[Annotation.refName];
}

/** The reference of a name; `undefined` where it is none. */
export function referenceOf(name: string): Reference | undefined {
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}

/** What a store says that a reference means. @throws what the store throws, RootfsError `ERR_INTERNAL` for no descriptor */
export async function resolveIn(store: Resolver, parsed: Reference, options: CallOptions): Promise<Descriptor> {
  const found = await store.resolve(parsed.digest ?? formatReference(parsed), options);
  if (typeof found?.digest === 'string') return found;
  throw wrongAnswer('the local store', 'a descriptor', found);
}
