/** A small OCI layout made of seeded bytes, for tools that read one. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Descriptor } from '../../src/spec/descriptor.js';
import type { Digest } from '../../src/spec/digest.js';
import { digestOf } from '../../src/testing/testing.js';

/** What was written. */
export interface LayoutFixture {
  readonly path: string;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly bytes: ReadonlyMap<Digest, Buffer>;
}

/** Deterministic bytes that do not compress (a xorshift generator). */
export function seededBytes(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    bytes[at] = state & 0xff;
  }
  return bytes;
}

/** Writes a layout tagged `tag` whose layers are tars of one file of the given sizes in bytes. */
export function writeLayout(path: string, sizes: readonly number[], tag = 'latest'): LayoutFixture {
  const bytes = new Map<Digest, Buffer>();
  mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
  const put = (content: Buffer, mediaType: string): Descriptor => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(path, 'blobs/sha256', hex), content);
    bytes.set(`sha256:${hex}`, content);
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const diffIds: string[] = [];
  const layers = sizes.map((size, index) => {
    const tar = tarOf(`file-${index}`, seededBytes(size, index + 1));
    diffIds.push(digestOf(tar));
    return put(gzipSync(tar, { level: 1 }), 'application/vnd.oci.image.layer.v1.tar+gzip');
  });
  const config = put(
    Buffer.from(
      JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
    ),
    'application/vnd.oci.image.config.v1+json',
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = put(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers })), mediaType);
  writeFileSync(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(path, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': tag } }],
    }),
  );
  return { path, manifest, config, layers, bytes };
}

function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
