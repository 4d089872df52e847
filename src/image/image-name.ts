/** What an image is called in messages. */
import { isDigest } from '../spec/digest.js';

/**
 * The name of an image for people: its reference, behind the source's place (a repository, a layout's folder, an
 * archive's file) where the source says so in `place`. Never empty: a layout's only image needs no reference.
 */
export function imageName(source: object, reference: string): string {
  const place = (source as { readonly place?: unknown }).place;
  if (typeof place !== 'string' || place === '') return reference === '' ? 'the image' : reference;
  if (reference.startsWith(place)) return reference;
  if (reference === '' || reference.startsWith('@')) return `${place}${reference}`;
  // An engine names images in full, behind no place.
  if (place.startsWith('docker-daemon:')) return `docker-daemon:${reference}`;
  return `${place}${isDigest(reference) && reference.startsWith('sha') ? '@' : ':'}${reference}`;
}
