/** What `index.json` of a layout says once content is named. */
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import { formatReference, isTag, parseReference } from '../spec/reference.js';
import { fullName, nameOf } from './entry-names.js';

const { containerdImageName: FULL_NAME, refName: REF_NAME } = Annotation;

/**
 * Gives content a name among the entries of a layout; whatever had it before loses it. A full name for engines that the
 * content has there already becomes that of the new name.
 *
 * @param name Absent: the content gets an entry without a name, unless it has one already.
 */
export function nameEntry(
  entries: readonly Descriptor[],
  target: Descriptor,
  name: string | undefined,
): readonly Descriptor[] {
  const { [REF_NAME]: _old, [FULL_NAME]: oldFull, ...annotations } = target.annotations ?? {};
  const full = name === undefined ? oldFull : newFullName(oldFull, name);
  // Engines would find two images by it, and so does whoever asks for it in another of its forms.
  const taken = name === undefined ? undefined : (full ?? fullName(name));
  const others = entries.flatMap((entry) => {
    const called = nameOf(entry);
    if (called === undefined) return entry.digest === target.digest ? [] : [entry];
    if (name !== undefined && entry.annotations?.[REF_NAME] === name) return [];
    return taken === undefined ? [entry] : withoutFullName(entry, taken);
  });
  if (name === undefined && others.some((entry) => entry.digest === target.digest)) return others;
  const all = {
    ...annotations,
    ...(full === undefined ? {} : { [FULL_NAME]: full }),
    ...(name === undefined ? {} : { [REF_NAME]: name }),
  };
  const { data: _data, annotations: _annotations, ...rest } = target;
  return [...others, Object.keys(all).length === 0 ? rest : { ...rest, annotations: all }];
}

/** What engines call an image that has another name now: a tag is one of the same repository. */
function newFullName(old: string | undefined, name: string): string | undefined {
  if (old === undefined) return undefined;
  const given = fullName(name);
  const repository = fullName(old);
  if (given !== undefined || repository === undefined || !isTag(name)) return given;
  const { digest: _digest, ...reference } = parseReference(repository);
  return formatReference({ ...reference, tag: name });
}

function withoutFullName(entry: Descriptor, full: string): readonly Descriptor[] {
  const { [FULL_NAME]: old, ...annotations } = entry.annotations ?? {};
  if (old === undefined || (old !== full && fullName(old) !== full)) return [entry];
  return annotations[REF_NAME] === undefined ? [] : [{ ...entry, annotations }];
}
