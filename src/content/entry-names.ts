/** By which names the entries of a layout's `index.json` are found: pure, and in one pass, however many there are. */
import { Annotation } from '../spec/annotations.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { KeptName } from './content.js';
import { canonicalName } from './image-names.js';

/** What an entry is called: `org.opencontainers.image.ref.name`, else containerd's full name. Empty text is no name. */
export function nameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[Annotation.refName] || fullNameOf(entry);
}

/** Docker and containerd save `a:latest` and `b:latest` as two entries called `latest`: then their full names count. */
export function namesOf(entries: readonly Descriptor[]): readonly (string | undefined)[] {
  /** The full name that all entries of one name have; `undefined` where they differ in it. */
  const common = new Map<string, string | undefined>();
  for (const entry of entries) {
    const name = nameOf(entry);
    if (name === undefined) continue;
    const full = fullNameOf(entry);
    if (!common.has(name)) common.set(name, full);
    else if (common.get(name) !== full) common.set(name, undefined);
  }
  return entries.map((entry) => {
    const name = nameOf(entry);
    return name === undefined || common.get(name) !== undefined ? name : (fullNameOf(entry) ?? name);
  });
}

/** What each entry can be asked for by: a name that several have says nothing. */
export function choicesOf(entries: readonly Descriptor[]): readonly string[] {
  const names = namesOf(entries);
  const holders = new Map<string | undefined, number>();
  for (const name of names) holders.set(name, (holders.get(name) ?? 0) + 1);
  return entries.map(({ digest }, at) => {
    const name = names[at];
    return name === undefined || holders.get(name) !== 1 ? `@${digest}` : name;
  });
}

function fullNameOf(entry: Descriptor): string | undefined {
  return entry.annotations?.[Annotation.containerdImageName] || undefined;
}

/** A name in full. A bare tag is none: `v1` must not be found as docker.io/library/v1. */
export function fullName(text: string): string | undefined {
  return /[/:@]/.test(text) ? canonicalName(text) : undefined;
}

/** The full name that an entry states, its tag beside it. */
export function keptNameOf({ annotations = {} }: Descriptor): KeptName | undefined {
  const refName = annotations[Annotation.refName];
  for (const name of [annotations[Annotation.containerdImageName], refName]) {
    const full = name === undefined ? undefined : fullName(name);
    if (full !== undefined) return { full, refName };
  }
  return undefined;
}
