/** The table of forms: a new one is a file of its own and a line here. */
import { RootfsError } from '../errors.js';
import { bundleForm } from './bundle.js';
import { erofsForm } from './erofs.js';
import { tarForm } from './flatten-file.js';
import type { Form } from './form.js';
import { overlayForm } from './overlay.js';
import { directoryForm } from './unpack.js';

/** All forms, the plainest first. */
export const FORMS: readonly Form[] = Object.freeze([directoryForm, tarForm, overlayForm, bundleForm, erofsForm]);

/**
 * The form of that name.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function findForm(name: string): Form {
  const found = FORMS.find((form) => form.name === name);
  if (found !== undefined) return found;
  const names = FORMS.map((form) => form.name).join(', ');
  throw new RootfsError('ERR_OPTION_INVALID', `form ${JSON.stringify(name)}: expected one of ${names}`, {
    detail: { found: name },
  });
}
