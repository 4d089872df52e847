/** What a file sink and its worker say to each other. Plain values and shared memory: all of it crosses threads. */
import type { DigestAlgorithm } from '../spec/digest.js';
import type { CrossingError } from './worker-task.js';

/** To the worker. Every message but `open` is answered once. */
export type SinkMessage =
  | {
      readonly kind: 'open';
      readonly sink: number;
      /** Opened by the main thread, which closes it. */
      readonly fd: number;
      readonly algorithm: DigestAlgorithm;
    }
  | {
      readonly kind: 'write';
      readonly sink: number;
      /** What is written: `length` bytes from `offset`. It does not change until the answer. */
      readonly memory: SharedArrayBuffer;
      readonly offset: number;
      readonly length: number;
      readonly position: number;
    }
  | { readonly kind: 'end'; readonly sink: number };

/** From the worker. After an error the sink takes nothing more. */
export interface SinkAnswer {
  readonly sink: number;
  readonly error?: CrossingError | undefined;
  /** To `end`: the hash of all bytes, in hex. */
  readonly hash?: string | undefined;
}
