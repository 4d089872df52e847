/**
 * From a reference to a root file system in one call: what a sandbox's author wants.
 *
 * It strings the verbs together and knows none of their insides; a form that is there already is used again.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, wrapSystemError } from './errors.js';
import { findForm } from './export/forms.js';
import { readPowers } from './export/powers.js';
import { fetchImage } from './image/fetch-image.js';
import type { Image } from './image/image.js';
import { absolutePath } from './io/absolute-path.js';
import { cacheFolder } from './io/cache-folder.js';
import { removeIfDead, withLock } from './io/lock.js';
import { makeFolders } from './io/make-folders.js';
import type { ExtractOptions } from './layer/extract-options.js';
import { type OpenOptions, openSource } from './open.js';
import { mergeLayers } from './rootfs/merge.js';
import { openRootFS } from './rootfs/open-rootfs.js';
import type { MergedTree } from './rootfs/tree.js';
import type { Platform } from './spec/platform.js';

/** Options of `prepareRootfs`. */
export interface PrepareOptions extends OpenOptions {
  /** Folder the layers are kept in; made when it is missing. Default `$XDG_CACHE_HOME/rootfs-kit/layers-v1`. */
  readonly store?: string | undefined;
  /** A name of `FORMS`: `directory` (default), `tar`, `overlay`, `bundle`, `erofs`. */
  readonly form?: string | undefined;
  /**
   * Where the form goes: absent, or an empty directory. Default: `<store>/<form>/<who writes>/<manifest digest>`, used
   * again. `SOURCE_DATE_EPOCH` is part of the name where a form's times depend on it.
   */
  readonly dst?: string | undefined;
  /** Default: linux on this machine's processor. */
  readonly platform?: Platform | string | undefined;
  /** How layers are extracted. */
  readonly extract?: Omit<ExtractOptions, 'signal' | 'onProgress'> | undefined;
}

/** A root file system that is ready. */
export interface PreparedRootfs {
  /** Absolute path of the directory or file. */
  readonly path: string;
  readonly form: string;
  readonly image: Image;
  /** It was there already; nothing was fetched but what the reference points at. */
  readonly reused: boolean;
  /** What the form's own verb answers; `undefined` where it was used again. */
  readonly detail: unknown;
}

/** The place was taken: before it was opened, or before what was written could go there. */
const TAKEN: ReadonlySet<string> = new Set(['ERR_OPTION_INVALID', 'ERR_BUSY']);

/** Why a folder cannot be trusted to hold what this user put there, as what was found instead; `undefined`: it can. */
function whyNotOwn(folder: string): string | undefined {
  const self = process.geteuid?.();
  if (self === undefined) return undefined;
  const { uid, mode } = statSync(folder);
  if (uid !== self) return `one of user ${uid}`;
  return (mode & 0o022) === 0 ? undefined : `mode 0${(mode & 0o7777).toString(8)}`;
}

/**
 * Makes the root file system of an image ready: resolves, fetches what is missing, verifies, writes the form.
 *
 * A form in its default place is shared by who asks for the same image as the same user: it must not be written to.
 * What an ordinary user wrote is not given to root, nor the other way round. Layers stay in the
 * store for the next image. Whoever asks for one that is being written, in this process or another, waits and gets it
 * as `reused`. A call that fails leaves layers that are whole, and no form.
 *
 * @param reference What `openSource` takes.
 * @throws RootfsError `ERR_PERMISSION` where others may write in the folder of the default place; what `openSource`, `fetchImage`, `openRootFS`, `mergeLayers` and the form's verb throw
 */
export async function prepareRootfs(reference: string, options: PrepareOptions = {}): Promise<PreparedRootfs> {
  const form = findForm(options.form ?? 'directory');
  const variant = form.variant?.();
  const store = absolutePath(options.store ?? cacheFolder('layers-v1'), 'store');
  const dst = options.dst === undefined ? undefined : absolutePath(options.dst, 'dst');
  const { signal, onProgress, platform } = options;
  const opened = await openSource(reference, options);
  try {
    const image = await fetchImage(opened.source, opened.reference, { platform, signal, onProgress });
    const { digest } = image.manifest.descriptor;
    const own = dst === undefined;
    const name = `${digest.slice(digest.indexOf(':') + 1)}${variant === undefined ? '' : `-${variant}`}`;
    const folder = join(store, form.name, readPowers().writer);
    const path = dst ?? join(folder, name);
    const reused = (): boolean => own && existsSync(path) && whyNotOwn(folder) === undefined;
    const found: PreparedRootfs = { path, form: form.name, image, reused: true, detail: undefined };
    if (reused()) {
      // Of a run that was killed once the form was there: nobody else would ever come by it.
      await removeIfDead(`${path}.lock`).catch(() => {});
      return found;
    }
    const parent = own ? folder : store;
    try {
      makeFolders(parent, { mode: 0o700 });
    } catch (error) {
      throw wrapSystemError(error, parent, 'name a store that can be made and written');
    }
    const foreign = own ? whyNotOwn(folder) : undefined;
    if (foreign !== undefined) {
      throw new RootfsError(
        'ERR_PERMISSION',
        `${folder}: expected a folder that only this user may write, found ${foreign}; remove it, or name another store`,
        { detail: { path: folder } },
      );
    }
    const write = async (): Promise<PreparedRootfs> => {
      if (reused()) return found;
      const rootfs = await openRootFS(opened.source, image, store, { ...options.extract, signal, onProgress });
      try {
        let merged: Promise<MergedTree> | undefined;
        const tree = (): Promise<MergedTree> => {
          merged ??= mergeLayers(rootfs.layers, { signal });
          return merged;
        };
        const { detail } = await form.write({ image, layers: rootfs.layers, tree }, path, { signal, onProgress });
        return { ...found, reused: false, detail };
      } catch (error) {
        // The command takes no lock, and was first: what it made is as good.
        if (own && error instanceof RootfsError && TAKEN.has(error.code) && existsSync(path)) return found;
        throw error;
      } finally {
        await rootfs.close();
      }
    };
    // Who asks for the same form meanwhile waits for it: two writers of one directory would end in ERR_BUSY for one.
    return await (own ? withLock(`${path}.lock`, write, { signal, onProgress }) : write());
  } finally {
    await opened.close();
  }
}
