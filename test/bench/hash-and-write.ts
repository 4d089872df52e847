/** Reads every blob of a layout, hashes it and writes it into one file: what `pull -o` must do at least. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [layout = '', out = ''] = process.argv.slice(2);
const folder = join(layout, 'blobs/sha256');
const buffer = Buffer.allocUnsafe(1024 * 1024);
const target = openSync(out, 'wx');
for (const name of readdirSync(folder)) {
  const hash = createHash('sha256');
  const source = openSync(join(folder, name), 'r');
  for (;;) {
    const length = readSync(source, buffer);
    if (length === 0) break;
    hash.update(buffer.subarray(0, length));
    writeSync(target, buffer, 0, length);
  }
  closeSync(source);
  if (hash.digest('hex') !== name) throw new Error(`${name} is not what it says`);
}
closeSync(target);
