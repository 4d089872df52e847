/** Names of images in local forms: compared as Docker reads them, and listed for people. Pure. */
import { normalizeReference } from '../spec/reference.js';

/** A name in full, or `undefined` where it is none by Docker's grammar. */
export function canonicalName(text: string): string | undefined {
  try {
    return normalizeReference(text);
  } catch {
    return undefined;
  }
}

/** The first twenty names, and how many more there are. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}
