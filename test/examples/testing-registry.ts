/**
 * A test of your own against a registry that drops connections. Run it: `node testing-registry.js`.
 *
 * The six lines in the middle are all it takes; `download` stands for whatever of yours pulls images.
 */
import { pathToFileURL } from 'node:url';
import { image, startRegistry } from 'rootfs-kit/testing';

/** Downloads a blob, and goes on where a connection broke. Yours will be better. */
async function download(url: string, size: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let have = 0; have < size; ) {
    const response = await fetch(url, { headers: { range: `bytes=${have}-` } });
    try {
      for await (const chunk of response.body ?? []) {
        chunks.push(chunk);
        have += chunk.length;
      }
    } catch {
      // the connection broke: the next one goes on from here
    }
  }
  return Buffer.concat(chunks);
}

/** Pulls the layers of an image through connections that all end after 64 KiB; tells how many that took. */
export async function pullThroughBrokenConnections(): Promise<{ requests: number; layers: number }> {
  const big = Buffer.alloc(200_000, 'rootfs');
  const app = image().compression('none');
  for (const name of ['base', 'middle', 'top']) app.layer((layer) => layer.dir(name).file(`${name}/data`, big));
  const built = app.build();
  await using registry = await startRegistry({ faults: [{ on: 'blob', do: 'cut', after: 64 * 1024 }] });
  registry.add('team/app', 'latest', built);

  for (const { descriptor, blob } of built.layers) {
    const bytes = await download(`${registry.url}/v2/team/app/blobs/${descriptor.digest}`, descriptor.size);
    if (!bytes.equals(blob)) throw new Error(`${descriptor.digest}: the bytes are not those of the layer`);
  }
  return { requests: registry.log.of('blob').length, layers: built.layers.length };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { requests, layers } = await pullThroughBrokenConnections();
  console.log(`${layers} layers in ${requests} requests, every one of them cut short`);
}
