/** Tar archives written by hand, field by field, right or wrong as the test wants them. Knows nothing of src/tar. */

/** Fields of one header block; texts are latin1. What is left out is what an ordinary empty file has. */
export interface RawHeader {
  readonly name?: string;
  readonly mode?: string | Buffer;
  readonly uid?: string | Buffer;
  readonly gid?: string | Buffer;
  readonly size?: number | string | Buffer;
  readonly mtime?: string | Buffer;
  readonly chksum?: string;
  readonly signedSum?: boolean;
  readonly type?: string;
  readonly linkname?: string;
  readonly magic?: string;
  readonly uname?: string;
  readonly gname?: string;
  readonly devmajor?: string | Buffer;
  readonly devminor?: string | Buffer;
  readonly prefix?: string | Buffer;
  /** Bytes to lay over the block at given places, before the checksum is made. */
  readonly patch?: Readonly<Record<number, string | Buffer>>;
}

export const END = Buffer.alloc(1024);

/** One header block with a right checksum, unless `chksum` says another. */
export function header(fields: RawHeader = {}): Buffer {
  const block = Buffer.alloc(512);
  const put = (at: number, value: string | Buffer): void => {
    (typeof value === 'string' ? Buffer.from(value, 'latin1') : value).copy(block, at);
  };
  put(0, fields.name ?? 'file');
  put(100, fields.mode ?? '0000644\0');
  put(108, fields.uid ?? '0000000\0');
  put(116, fields.gid ?? '0000000\0');
  const size = fields.size ?? 0;
  put(124, typeof size === 'number' ? `${size.toString(8).padStart(11, '0')}\0` : size);
  put(136, fields.mtime ?? '00000000000\0');
  put(156, fields.type ?? '0');
  put(157, fields.linkname ?? '');
  put(257, fields.magic ?? 'ustar\x0000');
  put(265, fields.uname ?? '');
  put(297, fields.gname ?? '');
  put(329, fields.devmajor ?? '');
  put(337, fields.devminor ?? '');
  put(345, fields.prefix ?? '');
  for (const [at, value] of Object.entries(fields.patch ?? {})) put(Number(at), value);
  put(148, '        ');
  let sum = 0;
  for (const byte of block) sum += fields.signedSum === true && byte >= 128 ? byte - 256 : byte;
  put(148, fields.chksum ?? `${sum.toString(8).padStart(6, '0')}\0 `);
  return block;
}

/** A header and its body, padded to whole blocks; the size field follows the body unless it is given. */
export function member(fields: RawHeader, body: string | Buffer = ''): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
  return Buffer.concat([
    header({ size: bytes.length, ...fields }),
    bytes,
    Buffer.alloc((512 - (bytes.length % 512)) % 512),
  ]);
}

/** PAX records with right lengths; texts are latin1. */
export function records(values: readonly (readonly [string, string | Buffer])[]): Buffer {
  return Buffer.concat(
    values.map(([key, value]) => {
      const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value;
      const rest = Buffer.byteLength(key, 'latin1') + bytes.length + 3;
      let length = rest + 1;
      while (String(length).length + rest !== length) length += 1;
      return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), bytes, Buffer.from('\n')]);
    }),
  );
}

/** A PAX extended header (`x`), or a global one (`g`). */
export function pax(values: readonly (readonly [string, string | Buffer])[], type: 'x' | 'g' = 'x'): Buffer {
  return member({ name: `PaxHeaders/${type}`, type }, records(values));
}
