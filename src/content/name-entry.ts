/** What `index.json` of a layout says once content is named. */
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';

/**
 * Gives content a name among the entries of a layout; whatever had it before loses it.
 *
 * @param name Absent: the content gets an entry without a name, unless it has one already.
 */
export function nameEntry(
  entries: readonly Descriptor[],
  target: Descriptor,
  name: string | undefined,
): readonly Descriptor[] {
  const others = entries.filter((entry) => {
    const named = entry.annotations?.[Annotation.refName];
    return named === undefined ? entry.digest !== target.digest : named !== name;
  });
  if (name === undefined && others.some((entry) => entry.digest === target.digest)) return others;
  const { [Annotation.refName]: _old, ...annotations } = target.annotations ?? {};
  const all = name === undefined ? annotations : { ...annotations, [Annotation.refName]: name };
  const { data: _data, annotations: _annotations, ...rest } = target;
  return [...others, Object.keys(all).length === 0 ? rest : { ...rest, annotations: all }];
}
