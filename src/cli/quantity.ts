/** Sizes and durations as people type them, and as they read them. */
import { RootfsError } from '../index.js';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  kib: 1024,
  m: 1e6,
  mb: 1e6,
  mib: 1024 ** 2,
  g: 1e9,
  gb: 1e9,
  gib: 1024 ** 3,
  t: 1e12,
  tb: 1e12,
  tib: 1024 ** 4,
};

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 60e3,
  min: 60e3,
  h: 3600e3,
  d: 86_400e3,
};

function parse(option: string, text: unknown, units: Readonly<Record<string, number>>, example: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(text).trim());
  const unit = match === null ? undefined : units[(match[2] ?? '').toLowerCase()];
  const value = match === null || unit === undefined ? Number.NaN : Math.round(Number(match[1]) * unit);
  if (!Number.isSafeInteger(value)) {
    throw new RootfsError('ERR_OPTION_INVALID', `--${option}: ${JSON.stringify(text)} is not understood; ${example}`);
  }
  return value;
}

/** Reads a size into bytes: `10GiB`, `512MB`, `1048576`. @throws RootfsError `ERR_OPTION_INVALID` */
export function parseSize(option: string, text: unknown): number {
  return parse(option, text, SIZE_UNITS, 'give a size such as 512MiB or 10GiB');
}

/** Reads a duration into milliseconds: `30s`, `500ms`, `5m`. A unit is required. @throws RootfsError `ERR_OPTION_INVALID` */
export function parseDuration(option: string, text: unknown): number {
  return parse(option, text, DURATION_UNITS, 'give a duration with its unit (ms, s, m, h or d), such as 30s or 5m');
}

/** A count for people: `1 blob`, `2 blobs`. @param many The word for several; `one` with an s when absent. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** A size for people: `9.3 MB`, decimal units. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
