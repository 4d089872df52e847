/** Options that are a whole number within bounds. */
import { RootfsError } from '../errors.js';

/** Gives the value back where it is a whole number from `least` to `most`. @throws RootfsError `ERR_OPTION_INVALID` */
export function wholeNumber(option: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const found = String(value);
  throw new RootfsError('ERR_OPTION_INVALID', `${option}: ${found} is not a whole number from ${least} to ${most}`, {
    detail: { option, value: found },
  });
}
