/** Options that are one of a few words. */
import { RootfsError } from '../errors.js';

/** Gives the value back where it is one of those that are allowed. @throws RootfsError `ERR_OPTION_INVALID` */
export function oneOf<T>(option: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  const found = typeof value === 'string' ? JSON.stringify(value) : String(value);
  throw new RootfsError('ERR_OPTION_INVALID', `${option}: ${found} cannot be used; give ${allowed.join(' or ')}`, {
    detail: { option, value: found },
  });
}
