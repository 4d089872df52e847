/** Run by `other-realm.test.ts`: an extraction, and failures of the system, in a realm of their own. */
import type * as Kit from '../../src/index.js';
import { importInOtherRealm } from './other-realm.js';

const [image = '', folder = ''] = process.argv.slice(2);
const kit = (await importInOtherRealm(new URL('../../src/index.js', import.meta.url).href)) as unknown as typeof Kit;
const { source, reference } = await kit.openSource(image);
const fetched = await kit.fetchImage(source, reference, { platform: 'linux/amd64' });
const rootfs = await kit.openRootFS(source, fetched, folder);
for (const { descriptor } of fetched.layers) for await (const _ of await kit.fetchLayer(source, descriptor));
const absent = await kit.openSource(`oci:${folder}/none`).catch((error: { code: string }) => error.code);
process.stdout.write(JSON.stringify({ layers: rootfs.layers.map(({ diffId }) => diffId), absent }));
await rootfs.close();
