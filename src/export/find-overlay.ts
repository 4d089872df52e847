/** Overlays that are there already: which one serves, and where in a store those for many lie. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, wrapSystemError } from '../errors.js';
import { absolutePath } from '../io/absolute-path.js';
import { type Digest, requireVerifiable } from '../spec/digest.js';
import { type OverlayFacts, type OverlayOrigin, readOverlayFacts } from './overlay-facts.js';
import { type OverlayOptions, overlayOrigin } from './overlay-options.js';

/**
 * The overlay in a folder, where it is what `writeOverlay` would write there with these options; `undefined` where the
 * folder holds none.
 *
 * Looked at are its `overlay.json` and who owns the folder, not the files of its layers.
 *
 * @param options `image` says of which image it must be.
 * @throws RootfsError `ERR_OPTION_INVALID` where it is of another image, was written with other options or by somebody
 *   else, or does not say so; `ERR_LAYOUT_INVALID`, `ERR_PERMISSION`, `ERR_FILESYSTEM`
 */
export function findOverlay(dst: string, options: OverlayOptions = {}): OverlayFacts | undefined {
  const path = absolutePath(dst, 'dst');
  const expected = overlayOrigin(options);
  let facts: OverlayFacts | undefined;
  let owner: number;
  try {
    facts = readOverlayFacts(path);
    if (facts === undefined) return undefined;
    owner = statSync(path).uid;
  } catch (error) {
    throw wrapSystemError(error, path);
  }
  const refuse = (what: string): never => {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `${path}: the overlay there is another: ${what}; name another folder, or remove this one`,
      { detail: { path, expected, found: facts.origin } },
    );
  };
  // What somebody else can write is not given to this user, whatever it says of itself.
  const uid = process.geteuid?.() ?? owner;
  if (owner !== uid) refuse(`expected a folder of user ${uid}, found one of user ${owner}`);
  const { origin } = facts;
  if (origin === undefined) return refuse('an older version wrote it, which did not say of which image');
  const others = (Object.keys(expected) as (keyof OverlayOrigin)[]).filter((name) => origin[name] !== expected[name]);
  const shown = (value: unknown): string => (value === undefined || value === '' ? 'none' : String(value));
  if (others.length > 0) {
    refuse(others.map((name) => `${name}: expected ${shown(expected[name])}, found ${shown(origin[name])}`).join(', '));
  }
  return facts;
}

/**
 * Where in a store the overlay of an image lies that many runs share: what is written otherwise, or by somebody else,
 * has another place.
 *
 * @returns an absolute path; its folder need not be there
 * @throws RootfsError `ERR_OPTION_INVALID`, `ERR_DIGEST_INVALID`, `ERR_DIGEST_UNSUPPORTED`
 */
export function overlayPlace(store: string, image: Digest, options: Omit<OverlayOptions, 'image'> = {}): string {
  const { encoded } = requireVerifiable(image);
  const { writer, ...asked } = overlayOrigin({ ...options, image });
  const { writer: _writer, ...plain } = overlayOrigin({ image });
  const [text, plainText] = [JSON.stringify(asked), JSON.stringify(plain)];
  const mark = text === plainText ? '' : `-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  return join(absolutePath(store, 'store'), 'overlay', writer, `${encoded}${mark}`);
}
