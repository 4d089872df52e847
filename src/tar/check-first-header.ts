/** The first header of an archive: where it is none, something else may stand in the tar's place. Pure. */
import type { RootfsError } from '../errors.js';
import { BLOCK } from './block.js';
import { checkHeader, type HeaderMemory } from './read-header.js';
import { tarInvalid } from './tar-invalid.js';

/** How things begin, in hexadecimal, and what they are. */
const KNOWN: readonly (readonly [start: string, what: string])[] = [
  ['1f8b', 'a gzip stream: it is compressed twice, or was not decompressed'],
  ['28b52ffd', 'a zstd stream: it is compressed twice, or was not decompressed'],
  ['fd377a585a00', 'an xz stream, which is not read'],
  ['425a68', 'a bzip2 stream, which is not read'],
  ['04224d18', 'an lz4 stream, which is not read'],
  ['504b0304', 'a zip file'],
  ['68737173', 'a squashfs image'],
  ['7f454c46', 'an ELF file'],
  ['0061736d', 'a WebAssembly module'],
  ['3c21646f6374797065', 'a page of HTML, as proxies and login pages send it'],
  ['3c68746d6c', 'a page of HTML, as proxies and login pages send it'],
  ['7b22', 'a JSON document'],
];

/**
 * As `checkHeader`, of the block at the archive's start; its error says what stands there, where that is known.
 *
 * @throws RootfsError `ERR_TAR_INVALID`
 */
export function checkFirstHeader(bytes: Buffer, start: number, memory: HeaderMemory): void {
  try {
    checkHeader(bytes, start, 0, memory);
  } catch (error) {
    const what = describe(bytes.subarray(start, start + BLOCK));
    throw what === undefined ? error : tarInvalid(0, `expected a tar, found ${what}`);
  }
}

/** The error of a source that ends inside its first header; it says what begins so, where that is known. */
export function noWholeHeader(found: Uint8Array): RootfsError {
  const what = describe(Buffer.from(found.subarray(0, BLOCK)));
  const end = what === undefined ? '' : `; it is ${what}`;
  return tarInvalid(found.length, `expected a whole header, found the end of the archive${end}`);
}

function describe(block: Buffer): string | undefined {
  const first = block.subarray(0, 16);
  const asIs = first.toString('hex');
  // HTML is written in any case; magic numbers are not.
  const lower = Buffer.from(first.toString('latin1').toLowerCase(), 'latin1').toString('hex');
  return KNOWN.find(([start]) => (start.startsWith('3c') ? lower : asIs).startsWith(start))?.[1];
}
