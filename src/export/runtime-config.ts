/**
 * The `config.json` of an OCI runtime bundle, made from an image.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md
 */
import type { Image } from '../image/image.js';
import { type IdMap, mapId } from './id-map.js';
import type { ResolvedProcess } from './resolve-process.js';

/** What shapes a runtime config besides the image. */
export interface RuntimeConfigOptions {
  /** For a runtime that is started without root: a user namespace, no network namespace, nothing that needs power. */
  readonly rootless: boolean;
  /** Owners inside to owners outside; with `rootless` the default is root to who asks. */
  readonly uidMap?: readonly IdMap[] | undefined;
  readonly gidMap?: readonly IdMap[] | undefined;
  readonly readOnly?: boolean | undefined;
  readonly hostname?: string | undefined;
  readonly terminal?: boolean | undefined;
}

/** What containers of the field's engines may do unless told otherwise. */
const CAPABILITIES: readonly string[] = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

const MASKED: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

const READ_ONLY: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** The group of terminals. A mount that names a group which the user namespace does not have is refused. */
const TTY_GROUP = 5;

/** The runtime config as one JSON value; `root.path` is `rootfs`, beside it. */
export function runtimeConfig(
  image: Pick<Image, 'config'>,
  process: ResolvedProcess,
  options: RuntimeConfigOptions,
): Record<string, unknown> {
  const { rootless } = options;
  // As execve would have it: other users than root hold none, and nobody passes any on.
  const held = process.uid === 0 ? CAPABILITIES : [];
  const capabilities = { bounding: CAPABILITIES, effective: held, permitted: held };
  const idMappings =
    options.uidMap === undefined && options.gidMap === undefined
      ? {}
      : { uidMappings: mappings(options.uidMap), gidMappings: mappings(options.gidMap) };
  const userNamespace = rootless || 'uidMappings' in idMappings;
  const namespaces = ['pid', 'ipc', 'uts', 'mount', 'cgroup']
    .concat(rootless ? [] : ['network'], userNamespace ? ['user'] : [])
    .map((type) => ({ type }));
  const { uid, gid, additionalGids } = process;
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: options.terminal === true,
      // Without root a namespace has one user and no say over groups.
      user: { uid, gid, ...(rootless ? {} : { additionalGids }) },
      args: process.argv,
      env: process.env,
      cwd: process.cwd,
      capabilities,
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: options.readOnly === true },
    hostname: options.hostname ?? 'rootfs',
    mounts: mounts(rootless, !rootless && mapId(options.gidMap, TTY_GROUP) !== undefined),
    annotations: annotations(image),
    linux: {
      namespaces,
      ...idMappings,
      maskedPaths: MASKED,
      readonlyPaths: READ_ONLY,
      ...(rootless ? {} : { resources: { devices: [{ allow: false, access: 'rwm' }] } }),
    },
  };
}

function mappings(maps: readonly IdMap[] | undefined): unknown[] {
  return (maps ?? []).map(({ containerId: containerID, hostId: hostID, size }) => ({ containerID, hostID, size }));
}

function mounts(rootless: boolean, hasTtyGroup: boolean): unknown[] {
  const locked = ['nosuid', 'noexec', 'nodev'];
  const devpts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'];
  // sysfs belongs to the network namespace: without one of its own, the host's is shown instead.
  const sys = rootless
    ? { destination: '/sys', type: 'none', source: '/sys', options: ['rbind', ...locked, 'ro'] }
    : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...locked, 'ro'] };
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: locked },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: hasTtyGroup ? [...devpts, `gid=${TTY_GROUP}`] : devpts,
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...locked, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: locked },
    sys,
  ];
}

/** What the image says about itself; its labels win over what is derived. */
function annotations({ config: { value } }: Pick<Image, 'config'>): Record<string, string> {
  const { config = {} } = value;
  const ports = Object.keys(config.ExposedPorts ?? {});
  const derived: readonly (readonly [string, string | undefined])[] = [
    ['org.opencontainers.image.os', value.os],
    ['org.opencontainers.image.architecture', value.architecture],
    ['org.opencontainers.image.variant', value.variant],
    ['org.opencontainers.image.os.version', value['os.version']],
    ['org.opencontainers.image.os.features', value['os.features']?.join(',')],
    ['org.opencontainers.image.author', value.author],
    ['org.opencontainers.image.created', value.created],
    ['org.opencontainers.image.stopSignal', config.StopSignal],
    ['org.opencontainers.image.exposedPorts', ports.length > 0 ? ports.sort().join(',') : undefined],
  ];
  const present = derived.flatMap(([key, text]) => (text === undefined || text === '' ? [] : [[key, text] as const]));
  return Object.fromEntries([...present, ...Object.entries(config.Labels ?? {})]);
}
