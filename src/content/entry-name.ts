/**
 * What an image may be called in a layout.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md#pre-defined-annotation-keys
 */
import { RootfsError } from '../errors.js';

const NAME = /^[A-Za-z0-9._:@/+-]{1,1024}$/;

/**
 * Checks a name that an entry is to get.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID` for what the specification's grammar refuses, and for `@0`, `@1`…, which
 *   stand for entries by their place
 */
export function checkEntryName(name: string): void {
  const refuse = (problem: string): RootfsError =>
    new RootfsError('ERR_REFERENCE_INVALID', `${JSON.stringify(name)}: ${problem}`, { detail: { reference: name } });
  if (!NAME.test(name)) {
    throw refuse('not a name for an entry of a layout; use letters, digits and . _ : @ / + -');
  }
  if (/^@\d+$/.test(name)) throw refuse('an entry by its place, which is no name to give; use one that says more');
}
