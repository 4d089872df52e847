/**
 * What comes up while work goes down: progress events. They are facts for a display; nothing may depend on them.
 *
 * Names are `noun:verb`. A listener that throws never breaks the work: emit with `report`.
 */

/** Everything a verb reports while it runs. Sizes are bytes, durations milliseconds. */
export type ProgressEvent =
  | { readonly type: 'image:resolved'; readonly reference: string; readonly digest: string; readonly mediaType: string }
  | { readonly type: 'layers:planned'; readonly layers: number; readonly compressedBytes: number }
  | {
      readonly type: 'layer:started';
      readonly digest: string;
      readonly compressedBytes: number;
      readonly index: number;
    }
  | {
      readonly type: 'layer:progressed';
      readonly digest: string;
      readonly compressedBytes: number;
      /** Compressed bytes that have arrived here so far. */
      readonly fetchedBytes: number;
      /** Uncompressed bytes written so far. */
      readonly tarBytes: number;
    }
  | {
      readonly type: 'layer:finished';
      readonly digest: string;
      readonly diffId: string;
      readonly compressedBytes: number;
      readonly tarBytes: number;
      /** The layer was there already; nothing was fetched. */
      readonly cached: boolean;
    }
  | {
      /** Entries of a root file system that have been written so far. */
      readonly type: 'entries:written';
      readonly entries: number;
      readonly totalEntries: number;
      /** Bytes of file data among them. */
      readonly dataBytes: number;
      readonly totalDataBytes: number;
    }
  | { readonly type: 'blobs:planned'; readonly blobs: number; readonly bytes: number }
  | { readonly type: 'blob:started'; readonly digest: string; readonly bytes: number }
  | { readonly type: 'blob:progressed'; readonly digest: string; readonly bytes: number; readonly copiedBytes: number }
  | {
      /** A blob is at its destination. */
      readonly type: 'blob:copied';
      readonly digest: string;
      readonly bytes: number;
      /** It was there already, or was mounted from another repository: no byte of it moved. */
      readonly skipped: boolean;
    }
  | {
      readonly type: 'request:retried';
      readonly subject: string;
      readonly attempt: number;
      readonly waitMs: number;
      readonly reason: string;
    }
  | { readonly type: 'warning:raised'; readonly message: string };

/**
 * Hears progress events. It is called synchronously and should return at once; what it throws is ignored, and so is the
 * promise of one that is async: nothing waits for it, and it may fail.
 */
export type ProgressListener = (event: ProgressEvent) => void;

/** Hands an event to a listener, if there is one; a listener that throws or rejects is ignored. */
export function report(listener: ProgressListener | undefined, event: ProgressEvent): void {
  try {
    const answer: unknown = listener?.(event);
    // An async function is a listener too: its failure, which nobody else would hear, would end the process.
    if (answer instanceof Object && 'then' in answer) Promise.resolve(answer).catch(() => {});
  } catch {
    // A display must not end the work it displays.
  }
}

/** Hands a warning to a listener, if there is one. */
export function warn(listener: ProgressListener | undefined, message: string): void {
  report(listener, { type: 'warning:raised', message });
}
