/** The name this library gives itself on the wire. */
import { readFileSync } from 'node:fs';

let cached: string | undefined;

/** `rootfs-kit/<version>`; without the version where the package's own package.json is out of reach (bundled code). */
export function defaultUserAgent(): string {
  if (cached === undefined) cached = `rootfs-kit${versionSuffix()}`;
  return cached;
}

function versionSuffix(): string {
  try {
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    const manifest = JSON.parse(text) as { name?: unknown; version?: unknown };
    if (manifest.name === 'rootfs-kit' && typeof manifest.version === 'string') return `/${manifest.version}`;
  } catch {
    // a bundle has no package.json beside it
  }
  return '';
}
