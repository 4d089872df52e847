/** What images are called inside archives. */
import type { CallOptions, NameKeeper } from '../content/content.js';
import { checkEntryName } from '../content/entry-name.js';
import { canonicalName } from '../content/image-names.js';
import { untilAborted } from '../io/abort.js';
import { isVerifiable } from '../spec/digest.js';
import {
  familiarReference,
  formatReference,
  parseReference,
  type Reference,
  refuseReserved,
} from '../spec/reference.js';
import type { ArchiveForm, ArchiveName } from './archive-members.js';

/**
 * The names of an image in an archive: the one asked for, else the one it has at its registry. An image that is only
 * known by its digest has none, and one from a place on this machine only the one that this place keeps in full
 * (`NameKeeper`), or has `listed`: then a tag alone is kept as such, since nobody says of which repository it is.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID`, what the source throws
 */
export async function archiveNames(
  form: ArchiveForm,
  source: object,
  reference: string,
  name: string | undefined,
  { listed = false, signal }: Pick<CallOptions, 'signal'> & { readonly listed?: boolean | undefined } = {},
): Promise<readonly ArchiveName[]> {
  if (name !== undefined && name !== '') {
    if (form === 'docker-archive') return nameOf(wantedName(name));
    if (form === 'oci-archive') checkEntryName(name);
    return [{ refName: name }];
  }
  const { registry, repository } = source as { readonly registry?: unknown; readonly repository?: unknown };
  if (isVerifiable(reference)) return [];
  if (typeof registry !== 'string' || typeof repository !== 'string') {
    return listed ? ownName(reference) : keptNames(source, reference, signal);
  }
  // A full reference to the repository says the tag as well as the tag alone does.
  if (/[/:]/.test(reference)) return nameOf(parseReference(reference));
  return nameOf({ registry, repository, tag: reference, given: reference });
}

/**
 * What somebody wants an image to be called.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID` (also for `scratch`, which no engine takes)
 */
function wantedName(name: string): Reference {
  const reference = parseReference(name);
  refuseReserved(reference);
  return reference;
}

/** The name in full that a source keeps for an image; `undefined` where it keeps none. @throws what the source throws */
export async function keptReference(
  source: object,
  reference: string,
  signal?: AbortSignal,
): Promise<Reference | undefined> {
  const kept = await untilAborted((source as Partial<NameKeeper>).keptName?.(reference, { signal }), signal);
  return kept === undefined ? undefined : parseReference(kept.full);
}

async function keptNames(
  source: object,
  reference: string,
  signal: AbortSignal | undefined,
): Promise<readonly ArchiveName[]> {
  const kept = await untilAborted((source as Partial<NameKeeper>).keptName?.(reference, { signal }), signal);
  if (kept === undefined) return [];
  const { full, refName } = kept;
  return nameOf(parseReference(full)).map((names) => (refName === undefined ? names : { ...names, refName }));
}

/** A name that a layout or an archive has for an image: any text in a layout. */
function ownName(refName: string): readonly ArchiveName[] {
  const full = /[/:]/.test(refName) ? canonicalName(refName) : undefined;
  if (full === undefined) return [{ refName }];
  return nameOf(parseReference(full)).map((names) => ({ ...names, refName }));
}

function nameOf(reference: Reference): readonly ArchiveName[] {
  const { tag } = reference;
  if (tag === undefined) return [];
  const { digest: _digest, ...named } = reference;
  return [{ refName: tag, fullName: formatReference(named), repoTag: familiarReference(named) }];
}
