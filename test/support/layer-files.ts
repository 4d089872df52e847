/** What a store must be, whatever happened: every name under `sha256/` is the hash of its bytes. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The names in a store's `sha256/`, sorted; empty where there is none. */
export function layerNames(store: string): string[] {
  const folder = join(store, 'sha256');
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

/** Those of them whose bytes hash to something else. */
export function wrongLayers(store: string): string[] {
  return layerNames(store).filter((name) => {
    const bytes = readFileSync(join(store, 'sha256', name));
    return createHash('sha256').update(bytes).digest('hex') !== name;
  });
}
