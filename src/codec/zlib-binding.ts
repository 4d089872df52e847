/**
 * The synchronous call beneath the streams of node:zlib.
 *
 * Node's own synchronous functions and minizlib are built on it; it takes an input and an output buffer, both of which
 * may be shared memory, and says how much of each it used. It is the same in Node 20 to 26.
 */
import { isUint32Array } from 'node:util/types';
import { RootfsError } from '../errors.js';

/** What one call did, in bytes. */
export interface ZlibStep {
  readonly read: number;
  readonly written: number;
}

interface NativeHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
  onerror: (message: string, errno: number, code: string) => void;
}

/** One open stream of node:zlib, used synchronously. */
export interface ZlibBinding {
  /** Why the stream failed, once it has. */
  readonly failure: string | undefined;
  /** Reads from `input` at `offset` and writes into `output` until either is used up or the stream has ended. */
  write(flush: number, input: Uint8Array, offset: number, output: Uint8Array): ZlibStep;
}

/**
 * Takes the binding of a stream of node:zlib. The stream still owns it and frees it.
 *
 * @throws RootfsError `ERR_INTERNAL` on a Node whose zlib is built otherwise
 */
export function nativeBinding(stream: unknown): ZlibBinding {
  const { _handle: handle, _writeState: state } = (stream ?? {}) as { _handle?: NativeHandle; _writeState?: unknown };
  if (typeof handle?.writeSync !== 'function' || !isUint32Array(state)) {
    throw new RootfsError(
      'ERR_INTERNAL',
      `node:zlib of Node ${process.version} is not built as expected; use another version of Node and report this`,
    );
  }
  return new SynchronousBinding(handle, state);
}

class SynchronousBinding implements ZlibBinding {
  readonly #handle: NativeHandle;
  readonly #state: Uint32Array;
  #failure: string | undefined;

  constructor(handle: NativeHandle, state: Uint32Array) {
    this.#handle = handle;
    this.#state = state;
    handle.onerror = (message, _errno, code) => {
      this.#failure = `${message}, ${code}`;
    };
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  write(flush: number, input: Uint8Array, offset: number, output: Uint8Array): ZlibStep {
    const inputLength = input.length - offset;
    this.#handle.writeSync(flush, input, offset, inputLength, output, 0, output.length);
    if (this.#failure !== undefined) return { read: 0, written: 0 };
    const [outputLeft = 0, inputLeft = 0] = this.#state;
    return { read: inputLength - inputLeft, written: output.length - outputLeft };
  }
}
