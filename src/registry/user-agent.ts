/** The name this library gives itself on the wire. */
import { createRequire } from 'node:module';

let cached: string | undefined;

/** `rootfs-kit/<version>`; without the version where the package's own package.json is out of reach (bundled code). */
export function defaultUserAgent(): string {
  if (cached === undefined) cached = `rootfs-kit${versionSuffix()}`;
  return cached;
}

function versionSuffix(): string {
  try {
    const { version } = createRequire(import.meta.url)('rootfs-kit/package.json') as { version?: unknown };
    if (typeof version === 'string') return `/${version}`;
  } catch {
    // code that was bundled and shipped without the package
  }
  return '';
}
