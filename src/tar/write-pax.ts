/** PAX records as the writer makes them: sorted by key, each with its own length in front. */
import { ACL_RECORDS } from './pax-keys.js';
import type { TarTime } from './tar-entry.js';

/** Records by key; keys and texts are bytes as latin1. */
export type PaxValues = Map<string, string | Buffer>;

/** The body of a PAX header: the same records give the same bytes, whatever their order. */
export function encodePaxRecords(values: PaxValues): Buffer {
  const parts: Buffer[] = [];
  for (const key of [...values.keys()].sort()) {
    const value = values.get(key) as string | Buffer;
    const rest = key.length + value.length + 3;
    parts.push(Buffer.from(`${recordLength(rest)} ${key}=`, 'latin1'));
    parts.push(typeof value === 'string' ? Buffer.from(`${value}\n`, 'latin1') : value);
    if (typeof value !== 'string') parts.push(Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}

/** The length of a record counts its own digits; `rest` is everything but these. */
function recordLength(rest: number): number {
  const length = rest + String(rest).length;
  return rest + String(length).length;
}

/** A time as PAX has it: decimal seconds, with as many digits of a fraction as are needed. */
export function encodePaxTime({ seconds, nanoseconds }: TarTime): string {
  if (nanoseconds === 0) return String(seconds);
  const negative = seconds < 0;
  const whole = negative ? -1 - seconds : seconds;
  const fraction = negative ? 1_000_000_000 - nanoseconds : nanoseconds;
  return `${negative ? '-' : ''}${whole}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
}

/**
 * Adds an extended attribute. A name with `=` cannot stand in a key: it is written the way libarchive does,
 * percent-encoded, the value in base64. An ACL as text has a record of its own.
 */
export function putXattr(values: PaxValues, name: string, value: Buffer): void {
  if (!name.includes('=')) {
    values.set(ACL_RECORDS.includes(name) ? name : `SCHILY.xattr.${name}`, value);
    return;
  }
  const encoded = name.replace(
    /[^A-Za-z0-9._-]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
  values.set(`LIBARCHIVE.xattr.${encoded}`, value.toString('base64').replace(/=+$/, ''));
}
