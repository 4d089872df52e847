/** Reads a tar held in memory through the file drive and through the stream drive, and holds one against the other. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTarFile } from '../../src/tar/read-tar-file.js';
import { readTarStream } from '../../src/tar/read-tar-stream.js';
import type { TarEntry } from '../../src/tar/tar-entry.js';
import type { TarLimits } from '../../src/tar/tar-limits.js';

/** All members by the file drive; throws what it throws. */
export function readMembers(tar: Buffer, limits: Partial<TarLimits> = {}): TarEntry[] {
  const folder = mkdtempSync(join(tmpdir(), 'rootfs-kit-tar-'));
  try {
    const path = join(folder, 'layer.tar');
    writeFileSync(path, tar);
    const fd = openSync(path, 'r');
    try {
      return [...readTarFile(fd, limits)];
    } finally {
      closeSync(fd);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function* chunks(tar: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < tar.length; at += size) yield tar.subarray(at, at + size);
}

/** All members by the stream drive, with their data. */
export async function streamMembers(
  tar: Buffer,
  limits: Partial<TarLimits> = {},
  chunkBytes = 700,
): Promise<{ entry: TarEntry; data: Buffer }[]> {
  const found = [];
  for await (const { entry, content } of readTarStream(chunks(tar, chunkBytes), limits)) {
    const parts: Buffer[] = [];
    for await (const part of content()) parts.push(part);
    found.push({ entry, data: Buffer.concat(parts) });
  }
  return found;
}

/** All members by both drives, which must agree. */
export async function readBoth(tar: Buffer, limits: Partial<TarLimits> = {}): Promise<TarEntry[]> {
  const entries = readMembers(tar, limits);
  const streamed = await streamMembers(tar, limits);
  assert.deepEqual(
    streamed.map(({ entry }) => entry),
    entries,
  );
  for (const { entry, data } of streamed) {
    assert.deepEqual(data, tar.subarray(entry.dataOffset, entry.dataOffset + entry.dataBytes));
  }
  return entries;
}

/** Both drives must refuse the archive with this code at this offset (any, when it is left out). */
export async function refusesBoth(
  tar: Buffer,
  code: string,
  offset?: number,
  limits: Partial<TarLimits> = {},
): Promise<void> {
  const expected = (error: unknown): boolean => {
    const { code: found, detail } = error as { code?: string; detail?: { offset?: number } };
    assert.equal(found, code, String(error));
    if (offset === undefined) assert.equal(typeof detail?.offset, 'number');
    else assert.equal(detail?.offset, offset, String(error));
    return true;
  };
  assert.throws(() => readMembers(tar, limits), expected);
  await assert.rejects(streamMembers(tar, limits), expected);
}
