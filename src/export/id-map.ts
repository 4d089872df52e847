/** Which id an owner inside the image has outside: `--uid-map` and `--gid-map`. */
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';

/** A run of ids: `size` of them from `containerId` inside the image are those from `hostId` on this machine. */
export interface IdMap {
  readonly containerId: number;
  readonly hostId: number;
  readonly size: number;
}

/** Whose id it is: a user's or a group's. */
export type IdKind = 'uid' | 'gid';

/** Ids are 32 bits; the last one means "no id" to the kernel. */
const MAX_ID = 0xffff_fffe;

/**
 * Reads `container:host:size` (decimal), the text form of an `IdMap`; `container:host` means size 1.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function parseIdMap(text: string): IdMap {
  const match = /^([0-9]{1,10}):([0-9]{1,10})(?::([0-9]{1,10}))?$/.exec(text);
  if (match === null) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `id map ${JSON.stringify(text.slice(0, 100))}: expected container:host:size, as in 0:100000:65536`,
      { detail: { found: text.slice(0, 100) } },
    );
  }
  const map = { containerId: Number(match[1]), hostId: Number(match[2]), size: Number(match[3] ?? 1) };
  checkIdMaps('id map', [map]);
  return map;
}

/**
 * Checks id maps: whole numbers, sizes of at least 1, ids of 32 bits, no overlap inside the image.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function checkIdMaps(option: string, maps: readonly IdMap[]): void {
  const given: unknown = maps;
  if (!Array.isArray(given)) throw partError(option, 'a list of id maps', given, 'parseIdMap makes one of text');
  const wrong = given.findIndex((map) => !(map instanceof Object));
  if (wrong >= 0) throw partError(`${option}[${wrong}]`, 'an id map', given[wrong], 'parseIdMap makes one of text');
  const sorted = [...maps].sort((a, b) => a.containerId - b.containerId);
  for (const [index, map] of sorted.entries()) {
    const { containerId, hostId, size } = map;
    const sound =
      [containerId, hostId, size].every((value) => Number.isInteger(value) && value >= 0) &&
      size >= 1 &&
      containerId + size - 1 <= MAX_ID &&
      hostId + size - 1 <= MAX_ID;
    const before = sorted[index - 1];
    if (sound && (before === undefined || before.containerId + before.size <= containerId)) continue;
    const why = sound ? 'maps overlap inside the image' : 'expected ids of 0 to 4294967294 and a size of at least 1';
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${option} ${containerId}:${hostId}:${size}: ${why}; give maps as container:host:size`,
      { detail: { option, containerId, hostId, size } },
    );
  }
}

/**
 * Refuses maps that give two ids of the image the same one outside: files may share an owner, a user namespace may not.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function refuseSharedIds(option: string, maps: readonly IdMap[]): void {
  const sorted = [...maps].sort((a, b) => a.hostId - b.hostId);
  for (const [index, { containerId, hostId, size }] of sorted.entries()) {
    const before = sorted[index - 1];
    if (before === undefined || before.hostId + before.size <= hostId) continue;
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${option} ${containerId}:${hostId}:${size}: maps overlap on this machine, which no user namespace takes; give each id one of its own`,
      { detail: { option, containerId, hostId, size } },
    );
  }
}

/** The id outside, or `undefined` where no map holds it. Without maps every id is its own. */
export function mapId(maps: readonly IdMap[] | undefined, id: number): number | undefined {
  // Callers without a type checker leave maps out as null, too.
  if (maps == null || maps.length === 0) return id;
  for (const map of maps) {
    if (id >= map.containerId && id - map.containerId < map.size) return map.hostId + (id - map.containerId);
  }
  return undefined;
}

/** The error of an id that no map holds. @param where What has it, in words. */
export function outsideMaps(kind: IdKind, id: number, where: string): RootfsError {
  return new RootfsError(
    'ERR_OPTION_INVALID',
    `${kind} ${id} of ${where} lies outside the ${kind}Map; widen it (--${kind}-map), or do without owners (--no-same-owner, sameOwner: false)`,
    { detail: { [kind]: id } },
  );
}
