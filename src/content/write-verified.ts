/** Content into a file of its own, verified while it is written: large content by another thread. */
import type { FileHandle } from 'node:fs/promises';
import { eachUntilAborted } from '../io/abort.js';
import { FileSink } from '../io/file-sink.js';
import { FileWriter } from '../io/file-writer.js';
import { judgeContent, Verifier, verifyChunks } from '../io/verify.js';
import type { Descriptor } from '../spec/descriptor.js';
import { requireVerifiable } from '../spec/digest.js';
import { type ChunkSource, isChunkSource } from './chunk-source.js';

/** Content from this size on is hashed and written by another thread, in bytes: starting it pays off. */
const SINK_MIN_BYTES = 4 * 1024 * 1024;

/**
 * Writes content into an empty file. When this returns, digest and size were found right; when it throws, what stands
 * in the file is worthless. Nothing touches the file afterwards.
 *
 * @throws RootfsError `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`; what the content throws; the system's own errors
 */
export async function writeVerified(
  file: FileHandle,
  content: AsyncIterable<Uint8Array>,
  expected: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (isChunkSource(content)) {
    if (expected.size >= SINK_MIN_BYTES) return writeBeside(file, content, expected, signal);
    const writer = new FileWriter(file, 0);
    const verifier = new Verifier(expected);
    const take = (chunk: Uint8Array): Promise<void> | undefined => {
      verifier.update(chunk);
      return writer.add(chunk);
    };
    await content.readChunks(take, signal);
    verifier.end();
    return;
  }
  const writer = new FileWriter(file, 0);
  for await (const chunk of verifyChunks(eachUntilAborted(content, signal), expected)) {
    await writer.add(chunk);
  }
}

async function writeBeside(
  file: FileHandle,
  content: ChunkSource,
  expected: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sink = new FileSink(file.fd, requireVerifiable(expected.digest).algorithm, expected.size);
  try {
    let receivedBytes = 0;
    const take = (chunk: Uint8Array): Promise<void> | 'enough' | undefined => {
      const room = expected.size - receivedBytes;
      if (room < 0) return 'enough';
      receivedBytes += Math.min(chunk.byteLength, room + 1);
      if (chunk.byteLength <= room) return sink.add(chunk);
      return sink.add(chunk.subarray(0, room)) ?? 'enough';
    };
    await content.readChunks(take, signal);
    judgeContent(expected, { digest: await sink.end(), receivedBytes });
  } finally {
    await sink.stop();
  }
}
