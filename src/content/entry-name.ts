/**
 * What an image may be called in a layout.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md#pre-defined-annotation-keys
 */
import { RootfsError } from '../errors.js';
import { isTag } from '../spec/reference.js';
import { canonicalName } from './image-names.js';

const MAX_NAME_LENGTH = 1024;
const COMPONENT = '[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*';
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);

/**
 * Checks a name that an entry is to get: one of the specification's grammar, or what Docker takes for a tag or a full
 * name (`v1_`, `a__b:v1`), since images that have it are copied under it.
 *
 * @throws RootfsError `ERR_REFERENCE_INVALID` for what neither grammar takes, and for `@0`, `@1`…, which stand for
 *   entries by their place
 */
export function checkEntryName(name: string): void {
  const refuse = (problem: string): RootfsError =>
    new RootfsError('ERR_REFERENCE_INVALID', `${JSON.stringify(name)}: ${problem}`, { detail: { reference: name } });
  if (/^@\d+$/.test(name)) throw refuse('an entry by its place, which is no name to give; use one that says more');
  const fits = name.length <= MAX_NAME_LENGTH && (NAME.test(name) || isTag(name) || canonicalName(name) !== undefined);
  if (!fits)
    throw refuse('not a name for an entry of a layout; use letters and digits, one of . _ : @ / + - between them');
}
