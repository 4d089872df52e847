/** Names of images in local forms: compared as Docker reads them, and listed for people. Pure. */
import { normalizeReference } from '../spec/reference.js';
import { shortText } from '../spec/short-text.js';

/** A name in full, or `undefined` where it is none by Docker's grammar. */
export function canonicalName(text: string): string | undefined {
  try {
    return normalizeReference(text);
  } catch {
    return undefined;
  }
}

/** Longer than a full reference of Docker's grammar with a digest. */
const SHOWN_CHARACTERS = 600;

/** The first names, each at a length that a message can hold, and how many more there are. */
export function listNames(names: readonly string[], most = 20): string {
  const shown = names
    .slice(0, most)
    .map((name) => shortText(name, SHOWN_CHARACTERS))
    .join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
