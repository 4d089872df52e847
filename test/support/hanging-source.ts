/** Sources of somebody's own that hang, and hear of no abort. */
import { Readable } from 'node:stream';
import type { ReadOnlyTarget } from '../../src/content/content.js';
import type { Descriptor } from '../../src/spec/descriptor.js';

/** Where a source hangs: after some bytes of a layer, before the first, or already at a name. */
export type HangingPlace = 'stream' | 'fetch' | 'resolve';

/** Gives what `source` gives, up to a place where nothing more comes. `opened` are the streams that hang. */
export function hangingSource(
  source: ReadOnlyTarget,
  place: HangingPlace,
): ReadOnlyTarget & { readonly opened: readonly Readable[] } {
  const opened: Readable[] = [];
  const never = (): Promise<never> => new Promise(() => {});
  const isLayer = ({ mediaType }: Descriptor): boolean => /layer|rootfs/.test(mediaType);
  return {
    opened,
    exists: (target) => source.exists(target),
    resolve: (reference) => (place === 'resolve' ? never() : source.resolve(reference)),
    async fetch(target) {
      if (!isLayer(target)) return source.fetch(target);
      if (place === 'fetch') return never();
      const stream = new Readable({ read() {} });
      stream.push(Buffer.alloc(5));
      opened.push(stream);
      return stream;
    },
  };
}
