/** The share of the possible: what inflate, two hashes, read and write of these blobs cost alone, over the cores. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openGzipInflater } from '../../src/codec/gzip-inflater.js';

function seconds(work: () => void): number {
  const started = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - started) / 1e9;
}

/** Measures the building blocks on every gzip blob of a layout; returns their sum divided by the cores, in seconds. */
export async function limitOf(layout: string, scratch: string): Promise<number> {
  const folder = join(layout, 'blobs', 'sha256');
  const chunk = Buffer.allocUnsafe(1 << 20);
  let sum = 0;
  for (const name of readdirSync(folder)) {
    const file = openSync(join(folder, name), 'r');
    const out = openSync(scratch, 'w');
    try {
      const blobHash = createHash('sha256');
      const tarHash = createHash('sha256');
      const first = Buffer.alloc(2);
      readSync(file, first, 0, 2, 0);
      if (first.readUInt16BE(0) !== 0x1f8b) continue;
      const space = Buffer.allocUnsafe(1 << 18);
      const inflate = await openGzipInflater(name, {
        space: () => space,
        filled: (length) => {
          const part = space.subarray(0, length);
          tarHash.update(part);
          writeSync(out, part);
        },
      });
      let position = 0;
      for (;;) {
        let got = 0;
        sum += seconds(() => {
          got = readSync(file, chunk, 0, chunk.length, position);
        });
        if (got === 0) break;
        position += got;
        const piece = chunk.subarray(0, got);
        sum += seconds(() => void blobHash.update(piece));
        sum += seconds(() => inflate.push(piece));
      }
    } finally {
      closeSync(file);
      closeSync(out);
      rmSync(scratch, { force: true });
    }
  }
  if (sum === 0) throw new Error(`${folder}: no gzip blob, nothing was measured`);
  return sum / availableParallelism();
}
