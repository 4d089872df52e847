/**
 * Which offered platform a wanted one can use, and which it prefers. Pure. The order is containerd's.
 *
 * @see https://github.com/containerd/platforms
 */
import { normalizePlatform, type Platform } from './platform.js';

/** Of every ARMv9.x, the newest ARMv8.x that it includes. */
const ARM8_IN_ARM9: readonly number[] = [5, 6, 7, 8, 9, 9, 9, 9];

/** Windows Server 2022 and 2025: from 2022 on a host also runs the builds since the last long-term release before it. */
const WINDOWS_LONG_TERM = [20348, 26100] as const;

const POSITION = 1e9;
const BUILD = 1e4;
const REVISION = 2e3;
/** Behind every build that an offered platform can name. */
const NO_VERSION = 65_536 * BUILD;
const MOST_FEATURES = 1000;

/**
 * How well `offered` serves `wanted`: a number, the lower the better, equal for equally good ones; `undefined` when it
 * does not serve at all. Numbers are comparable for one `wanted` only.
 *
 * - The same system and architecture; `arm` falls from its variant down to v5, `amd64` down to v1 and then to `386`,
 *   `arm64` to lower ARMv8 and ARMv9 versions and then to 32-bit `arm`.
 * - windows: the first three numbers of `os.version` must agree where both name one (from build 20348 on, older
 *   builds since the long-term release before also serve); the nearest build first, what names no version last. Other
 *   systems' versions do not count.
 * - Every `os.features` entry of `offered` must be in `wanted` (`win32k` on windows goes without); more of them first.
 */
export function rankPlatform(wanted: Platform, offered: Platform): number | undefined {
  const want = normalizePlatform(wanted);
  const offer = normalizePlatform(offered);
  if (want.os !== offer.os) return undefined;
  const position = fallbacks(want).indexOf(`${offer.architecture}/${offer.variant ?? ''}`);
  if (position === -1) return undefined;
  const version = want.os === 'windows' ? windowsDistance(want['os.version'], offer['os.version']) : 0;
  if (version === undefined) return undefined;
  const met = new Set(want['os.features'] ?? []);
  const needed = (offer['os.features'] ?? []).filter((feature) => want.os !== 'windows' || feature !== 'win32k');
  if (!needed.every((feature) => met.has(feature))) return undefined;
  return position * POSITION + version + MOST_FEATURES - Math.min(needed.length, MOST_FEATURES);
}

/** Whether `rank`, from `rankPlatform`, is of the very architecture, variant and (on windows) build that was wanted. */
export function isExactRank(rank: number): boolean {
  return rank < BUILD;
}

function fallbacks({ architecture, variant = '' }: Platform): readonly string[] {
  const own = `${architecture}/${variant}`;
  switch (architecture) {
    case 'amd64':
      return [own, ...below(variant, 1).map((v) => `amd64/${v === 'v1' ? '' : v}`), '386/'];
    case 'arm':
      return [own, ...below(variant, 5).map((v) => `arm/${v}`)];
    case 'arm64': {
      const version = /^v([89])(?:\.([0-9]))?$/.exec(variant === '' ? 'v8' : variant);
      if (version === null) return [own];
      const minor = Number(version[2] ?? 0);
      const nine = version[1] === '9';
      return [
        ...(nine ? descending('v9', minor).map((v) => `arm64/${v}`) : []),
        ...descending('v8', nine ? (ARM8_IN_ARM9[minor] ?? 9) : minor).map((v) => `arm64/${v === 'v8' ? '' : v}`),
        ...['v8', 'v7', 'v6', 'v5'].map((v) => `arm/${v}`),
      ];
    }
    default:
      return [own];
  }
}

/** `v9` and 2: `v9.2`, `v9.1`, `v9`. */
function descending(major: string, minor: number): string[] {
  return Array.from({ length: minor + 1 }, (_, index) => (index === minor ? major : `${major}.${minor - index}`));
}

/** The whole versions under `variant`, newest first, down to `lowest`; none when it is no such version. */
function below(variant: string, lowest: number): string[] {
  const version = /^v([1-9])$/.exec(variant)?.[1];
  if (version === undefined) return [];
  return Array.from({ length: Math.max(Number(version) - lowest, 0) }, (_, index) => `v${Number(version) - 1 - index}`);
}

function windowsDistance(wanted: string | undefined, offered: string | undefined): number | undefined {
  if (wanted === undefined) return 0;
  if (offered === undefined) return NO_VERSION;
  const want = wanted.split('.');
  const offer = offered.split('.');
  const revision = wanted === offered ? 0 : REVISION;
  if (want.slice(0, 3).every((part, index) => part === offer[index])) return revision;
  if (want.length < 3 || want[0] !== offer[0] || want[1] !== offer[1]) return undefined;
  const host = Number(want[2]);
  const build = Number(offer[2]);
  const oldest = WINDOWS_LONG_TERM.findLast((release) => release < host) ?? WINDOWS_LONG_TERM[0];
  if (!(host > WINDOWS_LONG_TERM[0] && host <= 65535 && build >= oldest && build <= host)) return undefined;
  return (host - build) * BUILD + revision;
}
