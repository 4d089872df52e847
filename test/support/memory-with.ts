import { Readable } from 'node:stream';
import { MemoryStore } from '../../src/content/memory.js';
import type { Built } from '../../src/testing/testing.js';

/** A store with an image or an index and all it holds, tag `v1`. */
export async function memoryWith(built: Built): Promise<MemoryStore> {
  const store = new MemoryStore();
  for (const [digest, bytes] of built.blobs) {
    const mediaType = built.documents.get(digest) ?? 'application/octet-stream';
    await store.push({ mediaType, digest, size: bytes.length }, Readable.from([bytes]));
  }
  await store.tag(built.descriptor, 'v1');
  return store;
}
