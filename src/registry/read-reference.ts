/** What callers hand in where a repository is named. */
import { parseReference, type Reference } from '../spec/reference.js';

/** A reference that was parsed, as it is; anything else is parsed. @throws RootfsError as `parseReference` */
export function readReference(name: string | Reference): Reference {
  const { registry, repository } = (name ?? {}) as Partial<Reference>;
  const isParsed = typeof name === 'object' && typeof registry === 'string' && typeof repository === 'string';
  return isParsed ? name : parseReference(name as string);
}
