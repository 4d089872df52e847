/**
 * Field names that only differ from the specification's by their case: Go's JSON reader takes them for the same, this
 * one and others do not, so that one document would be two. Pure.
 */
import type { JsonObject } from './json-document.js';
import { isObject } from './parse-json.js';

const IN_DOCUMENT = folded(
  'schemaVersion mediaType artifactType config layers manifests subject annotations fsLayers signatures',
);
const IN_DESCRIPTOR = folded('mediaType digest size urls annotations data artifactType platform');
const IN_PLATFORM = folded('architecture os os.version os.features variant');
const IN_CONFIG = folded('architecture os os.version os.features variant created author config rootfs history');
const IN_ROOTFS = folded('type diff_ids');
const IN_CONTAINER = folded(
  'User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal ArgsEscaped Healthcheck Shell',
);

/**
 * Finds a field of a manifest or an index that some clients read and others do not: `{ found: 'Layers', known: 'layers' }`.
 * Annotations and fields that nobody knows may be called anything.
 */
export function findOtherCase(document: JsonObject): { readonly found: string; readonly known: string } | undefined {
  const { config, layers, manifests, subject } = document;
  const descriptors = [config, subject, ...listOf(layers), ...listOf(manifests)].filter(isObject);
  return (
    inOtherCase(document, IN_DOCUMENT) ??
    first(descriptors, (descriptor) => inOtherCase(descriptor, IN_DESCRIPTOR)) ??
    first(descriptors.map(({ platform }) => platform).filter(isObject), (platform) =>
      inOtherCase(platform, IN_PLATFORM),
    )
  );
}

/**
 * Finds two fields of an image config that are one to some clients: `['User', 'user']`. Configs hold many fields that
 * no specification names, so that one of them alone may be called anything; so may labels, ports and volumes.
 */
export function findTwins(config: JsonObject): readonly [string, string] | undefined {
  const { rootfs, config: container } = renamed(config, IN_CONFIG);
  return first([config, rootfs, container].filter(isObject), (object) => {
    const seen = new Map<string, string>();
    for (const name of Object.keys(object)) {
      const twin = seen.get(fold(name));
      if (twin !== undefined) return [twin, name] as const;
      seen.set(fold(name), name);
    }
    return undefined;
  });
}

/**
 * An image config whose own fields and those of its `rootfs` go by the specification's names: published images spell them
 * otherwise (`rootfS`), and every engine reads them. No two may be one: see `findTwins`.
 */
export function inKnownCase(config: JsonObject): JsonObject {
  const known = renamed(config, IN_CONFIG);
  const { rootfs } = known;
  return isObject(rootfs) ? { ...known, rootfs: renamed(rootfs, IN_ROOTFS) } : known;
}

/** The same of what a container of the image runs with: builders hand on what people write, as `entrypoint`. */
export function containerInKnownCase<T extends { readonly config?: unknown }>(config: T): T {
  const { config: container } = config;
  return isObject(container) ? { ...config, config: renamed(container, IN_CONTAINER) } : config;
}

function renamed(object: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [names.get(fold(name)) ?? name, value]));
}

function inOtherCase(
  object: JsonObject,
  names: ReadonlyMap<string, string>,
): { readonly found: string; readonly known: string } | undefined {
  for (const found of Object.keys(object)) {
    const known = names.get(fold(found));
    if (known !== undefined && known !== found) return { found, known };
  }
  return undefined;
}

function folded(names: string): ReadonlyMap<string, string> {
  return new Map(names.split(' ').map((name) => [fold(name), name]));
}

/** As Go folds: the long s is an s to it, and the sign for Kelvin a k. */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase();
}

function first<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
