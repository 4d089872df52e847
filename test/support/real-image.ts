/** The real image of the tests: six Debian packages and a layer of whiteouts, made once into a cache folder. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What a test that uses `realImage` must ask `needs` for. */
export const REAL_IMAGE_TOOLS = ['umoci', 'dpkg-deb', 'apt-get', 'flock'] as const;

/** Makes the image, if it is not there yet, and returns its OCI layout's folder. The tag is `real`; 7 layers. */
export function realImage(): string {
  const folder = join(root, '.cache', 'real-image-v1');
  execFileSync(join(root, 'test', 'support', 'real-image'), [folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  return join(folder, 'layout');
}
