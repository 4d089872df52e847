/** What a form of a root file system is: one file of this room behind this interface, and a line in `forms.ts`. */
import type { CallOptions } from '../content/content.js';
import type { Image } from '../image/image.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';

/** What a form is written from. */
export interface FormInput {
  readonly image: Image;
  /** Uncompressed, base first. */
  readonly layers: readonly LayerTar[];
  /** Merges the layers at the first call; forms that need no tree do not ask. */
  tree(): Promise<MergedTree>;
}

/** Where a form came to lie. */
export interface FormResult {
  /** The form's name. */
  readonly form: string;
  /** Absolute path of what was written. */
  readonly path: string;
  /** What the form's own verb answers. */
  readonly detail: unknown;
}

/** One form of a root file system. */
export interface Form {
  /** The word for it, as in `--form directory`. */
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  readonly makes: 'directory' | 'file';
  /**
   * What the environment changes in what is written, in a word fit for a file's name; `undefined`: nothing. A form
   * without it depends on its input and on who writes alone.
   *
   * @throws RootfsError `ERR_OPTION_INVALID`
   */
  variant?(): string | undefined;
  /**
   * Writes it with the defaults of its own verb. `dst` is absent, or an empty directory for forms that make one; a
   * failed call leaves nothing.
   *
   * @throws RootfsError
   */
  write(input: FormInput, dst: string, options: CallOptions): Promise<FormResult>;
}
