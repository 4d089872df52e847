/** Progress of one layer: at most ten events a second, read from the counters its workers keep. */
import { type ProgressListener, report } from '../progress.js';
import type { Descriptor } from '../spec/descriptor.js';
import type { LayerControl } from './layer-control.js';

const INTERVAL_MS = 100;

/** Reports how far a layer is, now and then. @returns a function that reports once more and ends it */
export function watchLayer(
  listener: ProgressListener | undefined,
  descriptor: Descriptor,
  control: LayerControl,
): () => void {
  if (listener === undefined) return () => {};
  let last = -1;
  const tell = (): void => {
    const fetchedBytes = Math.min(control.available, descriptor.size);
    const { tarBytes } = control;
    if (fetchedBytes + tarBytes === last) return;
    last = fetchedBytes + tarBytes;
    report(listener, {
      type: 'layer:progressed',
      digest: descriptor.digest,
      compressedBytes: descriptor.size,
      fetchedBytes,
      tarBytes,
    });
  };
  const timer = setInterval(tell, INTERVAL_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    tell();
  };
}
