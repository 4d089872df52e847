/** What is told of the parts that callers hand in: what is none, what fails, what answers as no part of its kind does. */
import { isSystemError, RootfsError, wrapSystemError } from '../errors.js';

/** The refusal of a part that is missing or something else: most often a promise that nobody awaited. */
export function partError(option: string, expected: string, value: unknown, advice: string): RootfsError {
  const found = value === null ? 'null' : value instanceof Promise ? 'a promise' : typeof value;
  return new RootfsError('ERR_OPTION_INVALID', `${option}: expected ${expected}, found ${found}; ${advice}`, {
    detail: { option, value: found },
  });
}

/** What to throw for an answer that the part's interface does not know. The answer is not told: it may hold a secret. */
export function wrongAnswer(part: string, expected: string, found: unknown): RootfsError {
  const kind = found === undefined ? 'nothing' : `a value of type ${found === null ? 'null' : typeof found}`;
  const message = `${part} gave ${kind}, not ${expected}; look where it is made`;
  return new RootfsError('ERR_INTERNAL', message, { detail: { part } });
}

/** What a part threw, as what is thrown: our errors as they are, the system's wrapped, anything else as the part's failure. */
export function partFailure(part: string, error: unknown): RootfsError {
  if (error instanceof RootfsError) return error;
  if (isSystemError(error)) return wrapSystemError(error, part);
  const reason = error instanceof Error ? error.message : String(error);
  return new RootfsError('ERR_INTERNAL', `${part} failed: ${reason}; look where it is made`, {
    cause: error,
    detail: { part },
  });
}
