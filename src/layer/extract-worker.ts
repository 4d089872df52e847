/**
 * Entry of the workers: blob hash, inflate, diffID hash and write, synchronously, chunk by chunk.
 *
 * A stream that cannot be inflated is still read and hashed to its end: that the blob is not the promised one is the
 * truer reason, and the only one where the bytes were changed on the way.
 */
import type { InflateOutput, Inflater } from '../codec/inflater.js';
import { openInflater } from '../codec/open-inflater.js';
import { Verifier } from '../io/verify.js';
import { serveTasks } from '../io/worker-task.js';
import { BlobReader } from './blob-reader.js';
import { ChunkRing } from './chunk-ring.js';
import { LayerControl } from './layer-control.js';
import { isDecompressError } from './layer-failure.js';
import type { LayerOutcome, LayerTask, LayerWork } from './layer-task.js';
import { TarWriter } from './tar-writer.js';

serveTasks<LayerTask, LayerOutcome | undefined>((task) => {
  switch (task.kind) {
    case 'whole':
      return extractWhole(task);
    case 'inflate':
      return inflateInto(task, task.ring);
    case 'write':
      return writeFrom(task, task.ring);
  }
});

async function extractWhole(work: LayerWork): Promise<LayerOutcome> {
  const verifier = new Verifier(work);
  const writer = new TarWriter(work);
  await inflate(
    work,
    writer,
    (chunk) => verifier.update(chunk),
    () => verifier.end(),
  );
  return writer.finish();
}

/** One half of a split layer: reads and inflates, nothing else. The other half verifies the compressed side. */
async function inflateInto(work: LayerWork, memory: SharedArrayBuffer): Promise<undefined> {
  const control = new LayerControl(work.control);
  const ring = new ChunkRing(memory, control.flag);
  let consumed = 0;
  const take = (chunk: Uint8Array): void => {
    consumed += chunk.length;
    control.consumed = consumed;
  };
  try {
    await inflate(work, ring, take, () => {});
  } catch (error) {
    // The other half goes on to the end of the blob, unless the reason is one that ends everything.
    if (!isDecompressError(error)) control.stop();
    throw error;
  } finally {
    ring.end();
  }
  return undefined;
}

/** The other half: hashes and writes what comes through the ring, and hashes the compressed side in step with it. */
function writeFrom(work: LayerWork, memory: SharedArrayBuffer): LayerOutcome {
  const control = new LayerControl(work.control);
  const ring = new ChunkRing(memory, control.flag);
  const verifier = new Verifier(work);
  const reader = new BlobReader(work);
  const writer = new TarWriter(work);
  try {
    while (!ring.drained) {
      const behind = reader.position < control.consumed;
      const compressed = behind ? reader.next() : undefined;
      if (compressed !== undefined) verifier.update(compressed);
      const chunk = ring.poll();
      if (chunk !== undefined) {
        writer.take(chunk);
        ring.release();
      } else if (compressed === undefined) ring.wait();
    }
    for (let chunk = reader.next(); chunk !== undefined; chunk = reader.next()) verifier.update(chunk);
    verifier.end();
    return writer.finish();
  } catch (error) {
    control.stop();
    throw error;
  }
}

/** Reads the blob to its end: each chunk to `take` and into the inflater; `judge` is called before the last word. */
async function inflate(
  work: LayerWork,
  output: InflateOutput,
  take: (chunk: Uint8Array) => void,
  judge: () => void,
): Promise<void> {
  const reader = new BlobReader(work);
  const inflater: Inflater = await openInflater({
    subject: work.digest,
    mediaType: work.mediaType,
    prefix: reader.prefix(),
    output,
    maxBytes: work.maxBytes,
    maxRatio: work.maxRatio,
  });
  try {
    let damage: unknown;
    for (let chunk = reader.next(); chunk !== undefined; chunk = reader.next()) {
      take(chunk);
      if (damage !== undefined) continue;
      try {
        inflater.push(chunk);
      } catch (error) {
        if (!isDecompressError(error)) throw error;
        damage = error;
      }
    }
    judge();
    if (damage !== undefined) throw damage;
    inflater.finish();
  } finally {
    inflater.close();
  }
}
