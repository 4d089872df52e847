/** Names of images in a cache: descriptors carry them, and the store has images under them. */
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import { formatReference, parseReference, type Reference } from '../spec/reference.js';

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

/** The name in the store. A layout's names know no brackets, which only an IPv6 host has. */
export function storeName(parsed: Reference): string {
  return formatReference(parsed).replace(/[[\]]/g, '_');
}
