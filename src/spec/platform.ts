/**
 * Platforms: what an image runs on, how people write it, and which image a machine prefers.
 *
 * Pure but for `hostPlatform`, which asks Node what it runs on.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
 */
import { endianness, machine } from 'node:os';
import { RootfsError } from '../errors.js';

/** An operating system and a processor, in the words of the Go runtime (`linux`, `amd64`). */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string | undefined;
  readonly 'os.features'?: readonly string[] | undefined;
  readonly variant?: string | undefined;
}

/** What `hostPlatform` goes by; Node's own answers unless given. */
export interface HostFacts {
  /** As `process.platform`. */
  readonly platform?: string | undefined;
  /** As `process.arch`. */
  readonly arch?: string | undefined;
  /** As `os.machine()`: tells ARM variants apart (`armv7l`, `aarch64`). */
  readonly machine?: string | undefined;
}

const SYSTEMS = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos'.split(
    ' ',
  ),
);
const ARCHITECTURES = new Set(
  '386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'.split(
    ' ',
  ),
);
const OF_NODE: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', mipsel: 'mipsle' };

const SYSTEM_PART = /^([\w-]+)(?:\(([\w.%-]*)((?:\+[\w.%-]+)*)\))?$/;
const PART = /^[\w.-]+$/;

/**
 * Parses `os/architecture[/variant]`, or one of `os` and `architecture` alone; the rest is then the host's. Any case;
 * the usual other names are understood (`x86_64`, `aarch64`, `armhf`, `armel`, `i386`, `macos`). A version and
 * features may follow the system: `windows(10.0.17763+win32k)/amd64`.
 *
 * @throws RootfsError `ERR_PLATFORM_INVALID`
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = typeof text === 'string' ? text.split('/', 5) : [];
  const [first = '', second, third] = parts;
  const system = SYSTEM_PART.exec(first);
  if (system === null || parts.length > 3 || text.length > 300 || !parts.slice(1).every((part) => PART.test(part))) {
    // As crane and ko write it.
    const [, os, rest, version] = /^(\w+)\/([\w/]+):([\w.-]+)$/.exec(String(text)) ?? [];
    const problem = os && `a version stands behind the operating system; try ${os}(${version})/${rest}`;
    throw invalid(text, problem);
  }
  const os = normalizeSystem(system[1] ?? '');
  const version = decode(text, system[2] ?? '');
  const features = (system[3] ?? '')
    .split('+')
    .filter((feature) => feature !== '')
    .map((feature) => decode(text, feature));
  const more = {
    ...(version === '' ? {} : { 'os.version': version }),
    ...(features.length === 0 ? {} : { 'os.features': features }),
  };
  if (second !== undefined) {
    if (ARCHITECTURES.has(normalizeArchitecture(os, '')[0]) && third === undefined && /^v?\d/.test(second)) {
      throw invalid(text, `the operating system is missing; try ${host.os}/${text}`);
    }
    const [architecture, variant] = normalizeArchitecture(second, third ?? '');
    const shown = shownVariant(architecture, variant, third);
    return { architecture, os, ...more, ...(shown === '' ? {} : { variant: shown }) };
  }
  if (SYSTEMS.has(os)) {
    const { architecture, variant } = host;
    return { architecture, os, ...more, ...(variant === undefined ? {} : { variant }) };
  }
  const [architecture, variant] = normalizeArchitecture(first, '');
  if (!ARCHITECTURES.has(architecture)) throw invalid(text, 'that is no operating system and no architecture');
  const shown = shownVariant(architecture, variant, undefined);
  return { architecture, os: host.os, ...(shown === '' ? {} : { variant: shown }) };
}

/**
 * The form in which platforms are compared: lower case, other names replaced, `arm` is `v7`, `arm64/v8` and
 * `amd64/v1` have no variant, features sorted and each once. Empty parts are left out.
 */
export function normalizePlatform(platform: Platform): Platform {
  const [architecture, variant] = normalizeArchitecture(platform.architecture, platform.variant ?? '');
  const features = [...new Set(platform['os.features'] ?? [])].filter((feature) => feature !== '').sort();
  const version = platform['os.version'] ?? '';
  return {
    architecture,
    os: normalizeSystem(platform.os),
    ...(version === '' ? {} : { 'os.version': version }),
    ...(features.length === 0 ? {} : { 'os.features': features }),
    ...(variant === '' ? {} : { variant }),
  };
}

/** The text of a platform: `linux/arm64/v8`, `windows(10.0.17763.1)/amd64`. `parsePlatform` reads it; no system is `unknown`. */
export function formatPlatform(platform: Platform): string {
  if (platform.os === '') return 'unknown';
  const features = [...new Set(platform['os.features'] ?? [])].filter((feature) => feature !== '').sort();
  const options = [encode(platform['os.version'] ?? ''), ...features.map(encode)].join('+');
  const os = options === '' ? platform.os : `${platform.os}(${options})`;
  return [os, platform.architecture, platform.variant ?? ''].filter((part) => part !== '').join('/');
}

/**
 * The platform whose images are meant when none is asked for: this machine's architecture (with its variant on 32-bit
 * ARM other than v7) and linux; on Windows, windows.
 */
export function hostPlatform(facts: HostFacts = {}): Platform {
  const { platform = process.platform, arch = process.arch } = facts;
  const os = platform === 'win32' ? 'windows' : 'linux';
  if (arch === 'ppc64') return { architecture: endianness() === 'LE' ? 'ppc64le' : 'ppc64', os };
  const architecture = OF_NODE[arch] ?? arch;
  if (architecture !== 'arm') return { architecture, os };
  const name = (facts.machine ?? machine()).toLowerCase();
  const variant = name === 'aarch64' || name === 'arm64' ? 'v8' : /^arm(v[5-8])/.exec(name)?.[1];
  return { architecture, os, ...(variant === undefined || variant === 'v7' ? {} : { variant }) };
}

/** Whether a platform says nothing: both parts empty or `unknown`, as attestations beside images have it. */
export function isUnknownPlatform({ os, architecture }: Platform): boolean {
  return (os === '' || os === 'unknown') && (architecture === '' || architecture === 'unknown');
}

/** The platform part of what has one, an image config: empty fields left out. */
export function platformOf(source: Platform): Platform {
  const { architecture, os, variant = '' } = source;
  const version = source['os.version'] ?? '';
  const features = source['os.features'] ?? [];
  return {
    architecture,
    os,
    ...(version === '' ? {} : { 'os.version': version }),
    ...(features.length === 0 ? {} : { 'os.features': features }),
    ...(variant === '' ? {} : { variant }),
  };
}

function normalizeSystem(os: string): string {
  const lower = os.toLowerCase();
  return lower === 'macos' ? 'darwin' : lower;
}

function normalizeArchitecture(given: string, givenVariant: string): readonly [string, string] {
  const architecture = given.toLowerCase();
  const variant = givenVariant.toLowerCase();
  switch (architecture) {
    case 'i386':
    case 'i686':
    case 'x86':
      return ['386', ''];
    case 'x86_64':
    case 'x86-64':
    case 'x64':
    case 'amd64':
      return ['amd64', variant === 'v1' ? '' : variant];
    case 'aarch64':
    case 'arm64':
      if (['8', 'v8', 'v8.0', '8.0'].includes(variant)) return ['arm64', ''];
      return ['arm64', ['9', '9.0', 'v9.0'].includes(variant) ? 'v9' : variant];
    case 'armhf':
      return ['arm', 'v7'];
    case 'armel':
      return ['arm', 'v6'];
    case 'arm':
      if (variant === '') return ['arm', 'v7'];
      return ['arm', /^[5-8]$/.test(variant) ? `v${variant}` : variant];
    default:
      return [architecture, variant];
  }
}

/** What goes without saying stays unsaid, what was said stays said: `arm` has no variant, `arm64/v8` keeps its own. */
function shownVariant(architecture: string, variant: string, given: string | undefined): string {
  if (given === undefined) return architecture === 'arm' && variant === 'v7' ? '' : variant;
  return architecture === 'arm64' && variant === '' ? 'v8' : variant;
}

function encode(option: string): string {
  const bytes = (character: string): number[] => [...new TextEncoder().encode(character)];
  return option.replace(/[^\w.-]/gu, (character) =>
    bytes(character)
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

function decode(text: string, option: string): string {
  try {
    return decodeURIComponent(option);
  } catch {
    throw invalid(text);
  }
}

function invalid(text: string, problem?: string): RootfsError {
  const shown = typeof text === 'string' ? JSON.stringify(text.slice(0, 200)) : typeof text;
  return new RootfsError(
    'ERR_PLATFORM_INVALID',
    `${shown} is not a platform${problem === undefined ? '' : `: ${problem}`}; expected os/architecture[/variant], as in linux/amd64 or linux/arm/v7`,
    { detail: { found: shown } },
  );
}
