/** What callers without a type checker hand in for a part of a call. */
import { RootfsError } from '../errors.js';

/** The refusal of a part that is missing or something else: most often a promise that nobody awaited. */
export function partError(option: string, expected: string, value: unknown, advice: string): RootfsError {
  const found = value === null ? 'null' : value instanceof Promise ? 'a promise' : typeof value;
  return new RootfsError('ERR_OPTION_INVALID', `${option}: expected ${expected}, found ${found}; ${advice}`, {
    detail: { option, value: found },
  });
}
