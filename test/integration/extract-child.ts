/** A process that extracts an image into a store: `extract-child.js DST SOURCE REFERENCE [OPTIONS-JSON]`. */

import { OciLayout } from '../../src/content/oci-layout.js';
import { fetchImage } from '../../src/image/fetch-image.js';
import { extractLayers } from '../../src/layer/extract-layers.js';
import { createRepository } from '../../src/registry/repository.js';

const [dst = '', from = '', reference = '', json = '{}'] = process.argv.slice(2);
const source = from.startsWith('/') ? await OciLayout.open(from) : createRepository(from);
const options = JSON.parse(json) as Record<string, number>;

process.stdout.write('started\n');
try {
  const image = await fetchImage(source, reference);
  const handles = await extractLayers(source, image.layers, dst, options);
  for (const handle of handles) {
    process.stdout.write(`${handle.diffId}\t${handle.tarBytes}\n`);
    await handle.close();
  }
  process.stdout.write(`peak ${process.resourceUsage().maxRSS}\n`);
} catch (error) {
  const { code, message } = error as Error & { code?: string };
  process.stdout.write(`failed ${code}\n${message}\n`);
  process.exitCode = 1;
}
// Connections that are kept alive would keep the process.
process.exit();
