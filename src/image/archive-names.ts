/** What images are called inside archives. */

import { isDigest } from '../spec/digest.js';
import { familiarReference, formatReference, parseReference, type Reference } from '../spec/reference.js';
import type { ArchiveForm, ArchiveName } from './archive-members.js';

/**
 * The names of an image in an archive: the one asked for, else the one it has at its registry. An image that is only
 * known by its digest, and one from a place on this machine, has none.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`
 */
export function archiveNames(
  form: ArchiveForm,
  source: object,
  reference: string,
  name: string | undefined,
): readonly ArchiveName[] {
  if (name !== undefined && name !== '') {
    return form === 'docker-archive' ? nameOf(parseReference(name)) : [{ refName: name }];
  }
  const { registry, repository } = source as { readonly registry?: unknown; readonly repository?: unknown };
  if (typeof registry !== 'string' || typeof repository !== 'string' || isPinned(reference)) return [];
  // A full reference to the repository says the tag as well as the tag alone does.
  if (/[/:]/.test(reference)) return nameOf(parseReference(reference));
  return nameOf({ registry, repository, tag: reference, given: reference });
}

function nameOf(reference: Reference): readonly ArchiveName[] {
  const { tag } = reference;
  if (tag === undefined) return [];
  const { digest: _digest, ...named } = reference;
  return [{ refName: tag, fullName: formatReference(named), repoTag: familiarReference(named) }];
}

function isPinned(reference: string): boolean {
  return /^sha(?:256|512):/.test(reference) && isDigest(reference);
}
