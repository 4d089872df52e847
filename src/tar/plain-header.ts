/** Headers of archives whose members have names and bytes, and nothing else of their own. */
import { encodeHeader } from './write-header.js';

const PLAIN = { uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } } as const;

/**
 * The header of a file of `size` bytes or, without a size, of a folder: mode 0644 or 0755, owner root, time 0. The same
 * names and lengths give the same bytes, whoever writes the archive.
 *
 * @param name Without a slash at the end.
 */
export function plainHeader(name: string, size: number | undefined): Buffer {
  return size === undefined
    ? encodeHeader({ ...PLAIN, name: `${name}/`, type: 'directory', mode: 0o755 })
    : encodeHeader({ ...PLAIN, name, type: 'file', mode: 0o644, size });
}
