/** Headers of archives whose members have names and bytes, and nothing else of their own. Layers need `write-header.ts`. */
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import { BLOCK } from './block.js';

/**
 * The header of a file of `size` bytes or, without a size, of a folder: mode 0644 or 0755, time 0, no owner. The same
 * names and lengths give the same bytes, whoever writes the archive.
 *
 * @param name Without a slash at the end; ASCII.
 */
export function plainHeader(name: string, size: number | undefined): Buffer {
  const data =
    size === undefined
      ? ({ path: `${name}/`, type: 'Directory', mode: 0o755, size: 0 } as const)
      : ({ path: name, type: 'File', mode: 0o644, size, mtime: new Date(0) } as const);
  const block = Buffer.alloc(BLOCK);
  const needsRecords = new Header(data).encode(block, 0);
  return needsRecords ? Buffer.concat([new Pax(data).encode(), block]) : block;
}
