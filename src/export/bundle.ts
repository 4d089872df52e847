/** From an image to an OCI runtime bundle: `config.json` and `rootfs/`, what runc and its cousins start. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inPlaceOf } from '../content/output-place.js';
import { RootfsError, wrapSystemError } from '../errors.js';
import type { Image } from '../image/image.js';
import { requireConfig, requireImage } from '../image/require-image.js';
import { throwIfAborted } from '../io/abort.js';
import { warn } from '../progress.js';
import type { LayerTar } from '../rootfs/merge.js';
import type { MergedTree } from '../rootfs/tree.js';
import { type Destination, discardAfter, openDestination } from './destination.js';
import type { Form } from './form.js';
import { checkIdMaps, type IdMap, mapId, refuseSharedIds } from './id-map.js';
import { letRootPass } from './let-root-pass.js';
import { type Powers, readPowers } from './powers.js';
import { type ProcessOptions, type ResolvedProcess, resolveProcess, settleEntrypoint } from './resolve-process.js';
import { runtimeConfig } from './runtime-config.js';
import { unpackAs } from './unpack.js';
import type { UnpackOptions, UnpackResult } from './unpack-options.js';

/** Options of `writeBundle`. */
export interface BundleOptions extends UnpackOptions {
  /** What is run instead of what the image says. */
  readonly process?: ProcessOptions | undefined;
  /** For a runtime without root. Default: whether this process has no root. */
  readonly rootless?: boolean | undefined;
  /** The root file system is mounted read-only. Default false. */
  readonly readOnly?: boolean | undefined;
  readonly hostname?: string | undefined;
  /** The process gets a terminal, and `TERM=xterm` where no other type is said. Default false. */
  readonly terminal?: boolean | undefined;
}

/** What `writeBundle` made. */
export interface BundleResult {
  /** Absolute path of the bundle. */
  readonly path: string;
  readonly process: ResolvedProcess;
  readonly rootless: boolean;
  /** Of `rootfs/`; the paths in it are those in the finished bundle. */
  readonly rootfs: UnpackResult;
}

/**
 * Writes an OCI runtime bundle: the image unpacked as `rootfs`, and a `config.json` that runs what the image says.
 * The bundle is readable by its owner alone; with id maps as root, the group that is root's inside may pass through
 * it. Written and moved as `unpack` does it; a run that fails leaves nothing.
 *
 * Without root the config has a user namespace in which root is who runs the bundle. An image that wants another
 * user then runs as root of that namespace, unless id maps hold that user; a warning says so.
 *
 * The same variant made as root gives all files to root unless there are id maps, or `sameOwner`; a warning says so.
 *
 * As root, id maps of users alone are those of groups too, and the other way round: a user namespace has both.
 *
 * `Config.Volumes` make no mounts: what is written there stays in `rootfs/`, with the owners that the image gave it; a
 * file system in memory in their place would belong to root, and end with the container.
 *
 * An image that names no command gets `sh`, as runtimes' own templates have it; a warning says so.
 *
 * @param dst Absent, or an empty directory.
 * @throws RootfsError as `unpack` and `resolveProcess` do; `ERR_UNSUPPORTED` for an image of another system than Linux
 */
export async function writeBundle(
  image: Image,
  tree: MergedTree,
  layers: readonly LayerTar[],
  dst: string,
  given: BundleOptions = {},
): Promise<BundleResult> {
  throwIfAborted(given.signal);
  requireImage(image);
  requireConfig(image);
  for (const option of ['uidMap', 'gidMap'] as const) {
    checkIdMaps(option, given[option] ?? []);
    refuseSharedIds(option, given[option] ?? []);
  }
  refuseForeign(image);
  const powers = readPowers();
  const rootless = given.rootless ?? !powers.root;
  const options = withMaps(given, rootless);
  const resolved = withTerminal(resolveProcess(image, tree, layers, withCommand(image, options)), options);
  const process = withinMaps(resolved, rootless, options);
  const own = (id: number): IdMap[] => [{ containerId: 0, hostId: id, size: 1 }];
  const config = runtimeConfig(image, process, {
    rootless,
    uidMap: options.uidMap ?? (rootless ? own(powers.uid) : undefined),
    gidMap: options.gidMap ?? (rootless ? own(powers.gid) : undefined),
    readOnly: options.readOnly,
    hostname: options.hostname,
    terminal: options.terminal,
  });
  const destination = openDestination(dst);
  try {
    const isAlone = rootless && [options.uidMap, options.gidMap, options.sameOwner].every((one) => one === undefined);
    const files = isAlone && powers.root ? ofRootAlone(options) : options;
    const writer = isAlone ? givingNothing(powers) : powers;
    const rootfs = await unpackAs(writer, tree, layers, join(destination.workingPath, 'rootfs'), files);
    writeFileSync(destination.root.at('config.json'), `${JSON.stringify(config, undefined, 2)}\n`, { flag: 'wx' });
    if (!rootless) letRootPass(destination, options.gidMap);
    destination.commit();
    return { path: destination.path, process, rootless, rootfs: settled(rootfs, destination) };
  } catch (error) {
    const { path, workingPath } = destination;
    const failed =
      error === options.signal?.reason ? error : inPlaceOf(workingPath, path, wrapSystemError(error, path));
    discardAfter(failed, destination);
    throw failed;
  }
}

/** The options with maps that runtimes take: an empty one is none, and as root one stands for both. */
function withMaps(options: BundleOptions, rootless: boolean): BundleOptions {
  const [uidMap, gidMap] = [options.uidMap, options.gidMap].map((maps) =>
    (maps ?? []).length === 0 ? undefined : maps,
  );
  if (rootless) return { ...options, uidMap, gidMap };
  return { ...options, uidMap: uidMap ?? gidMap, gidMap: gidMap ?? uidMap };
}

/** Where root of the user namespace is its only user, the files of others are nobody's, and shut to all in it. */
function ofRootAlone(options: BundleOptions): BundleOptions {
  const message = 'all files belong to root, who is alone in the user namespace of the bundle; id maps keep the others';
  warn(options.onProgress, message);
  return { ...options, sameOwner: false };
}

/** Root of a user namespace with many ids may give files away. The bundle's own namespace has none but root's. */
function givingNothing(powers: Powers): Powers {
  return { ...powers, mayOwn: (uid, gid) => powers.uid === 0 && uid === 0 && gid === powers.gid };
}

/** A config for runtimes of Linux says nothing to those of another system. */
function refuseForeign({ config }: Image): void {
  const { os } = config.value;
  if (os === '' || os === 'linux') return;
  throw new RootfsError(
    'ERR_UNSUPPORTED',
    `bundle: expected an image for linux, found one for ${os}; rootfs unpack writes its files without a config`,
    { detail: { os } },
  );
}

/** The process options, with a shell where neither they nor the image name a command: many images are data only. */
function withCommand(image: Image, options: BundleOptions): ProcessOptions | undefined {
  const { Entrypoint, Cmd = [] } = image.config.value.config ?? {};
  const { entrypoint, args } = options.process ?? {};
  // As in resolveProcess: an empty name is none.
  const isNamed = ([...settleEntrypoint(Entrypoint), ...Cmd][0] ?? '') !== '';
  if (entrypoint !== undefined || args !== undefined || isNamed) return options.process;
  warn(options.onProgress, 'the image names no command; the bundle runs sh');
  return { ...options.process, args: ['sh'] };
}

/** A terminal has a type: what engines and runtimes' own templates say, unless the image or the options say more. */
function withTerminal(process: ResolvedProcess, options: BundleOptions): ResolvedProcess {
  const isSaid = process.env.some((entry) => entry.startsWith('TERM=')) || options.process?.env?.includes('TERM');
  return options.terminal !== true || isSaid === true ? process : { ...process, env: [...process.env, 'TERM=xterm'] };
}

/** Without root only mapped ids exist; any other user becomes root of the namespace. */
function withinMaps(process: ResolvedProcess, rootless: boolean, options: BundleOptions): ResolvedProcess {
  const { uid, gid } = process;
  const mapped = (maps: readonly IdMap[] | undefined, id: number): boolean =>
    maps === undefined ? !rootless || id === 0 : mapId(maps, id) !== undefined;
  if (mapped(options.uidMap, uid) && mapped(options.gidMap, gid)) {
    return { ...process, additionalGids: process.additionalGids.filter((one) => mapped(options.gidMap, one)) };
  }
  if (!rootless) {
    throw new RootfsError(
      'ERR_OPTION_INVALID',
      `user ${uid}:${gid} of the image lies outside the id maps; widen them or name another user`,
      { detail: { uid, gid } },
    );
  }
  const message = `the image runs as ${uid}:${gid}, which the id maps do not hold; the bundle runs as root of its user namespace`;
  warn(options.onProgress, message);
  return { ...process, uid: 0, gid: 0, additionalGids: [0] };
}

function settled(rootfs: UnpackResult, { path, workingPath }: Destination): UnpackResult {
  const place = (old: string): string => (old.startsWith(workingPath) ? path + old.slice(workingPath.length) : old);
  const { ownershipFile } = rootfs;
  return {
    ...rootfs,
    path: place(rootfs.path),
    ownershipFile: ownershipFile === undefined ? undefined : place(ownershipFile),
  };
}

/** The form `bundle`: what OCI runtimes start. */
export const bundleForm: Form = {
  name: 'bundle',
  summary: 'an OCI runtime bundle: config.json and rootfs',
  makes: 'directory',
  async write(input, dst, options) {
    const detail = await writeBundle(input.image, await input.tree(), input.layers, dst, options);
    return { form: 'bundle', path: detail.path, detail };
  },
};
