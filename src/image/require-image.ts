/** What callers without a type checker hand in for an image. */
import { partError } from '../io/part-error.js';
import type { Image } from './image.js';

/** Checks that there is an image. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireImage(image: Image): void {
  const given = image as Partial<Image> | null | undefined;
  if (Array.isArray(given?.layers) && given.manifest !== undefined) return;
  throw partError('image', 'an image', image, 'await fetchImage for one');
}

/** Checks that there is an image whose config is here: all that a process is worked out of. @throws RootfsError `ERR_OPTION_INVALID` */
export function requireConfig(image: Pick<Image, 'config'>): void {
  const given = image as Partial<Image> | null | undefined;
  if (given?.config?.value !== undefined) return;
  throw partError('image', 'an image', image, 'await fetchImage for one');
}
