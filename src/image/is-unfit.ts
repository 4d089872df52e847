/** Of many images, those that are not what is wanted. */
import { RootfsError } from '../errors.js';

const UNFIT: ReadonlySet<string> = new Set(['ERR_NOT_AN_IMAGE', 'ERR_PLATFORM_NOT_FOUND', 'ERR_SCHEMA1_UNSUPPORTED']);

/** Whether something failed because it is no image, or none for the platform: the others do not suffer for it. */
export function isUnfit(error: unknown): error is RootfsError {
  return error instanceof RootfsError && UNFIT.has(error.code);
}
