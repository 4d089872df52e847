/**
 * Memory that sockets receive into, used again and again: for a fresh piece each time, the system has to find pages, and
 * receiving costs twice as much. It is shared memory, so that another thread can read what was received.
 *
 * A piece has one lender, who gives it back, and may be kept by others meanwhile. When nobody has it any more it is
 * used again: whoever looks at a chunk later, and did not keep it, sees other bytes.
 */

/** Length of a piece in bytes: each costs some calls, whatever its length; much longer ones fall out of the caches. */
const PIECE_BYTES = 1024 * 1024;

/** Bytes that wait for their next use, at most; more are left to the garbage collector. */
const MAX_FREE_BYTES = 16 * 1024 * 1024;

interface Piece {
  readonly buffer: Buffer;
  /** Who has it: its lender, and those who keep it. */
  holders: number;
}

const free: Piece[] = [];
const pieces = new WeakMap<ArrayBufferLike, Piece>();

/** A piece to receive into. Its lender gives it back with `giveBack`. */
export function takePiece(): Buffer {
  const known = free.pop();
  if (known !== undefined) {
    known.holders = 1;
    return known.buffer;
  }
  const buffer = Buffer.from(new SharedArrayBuffer(PIECE_BYTES));
  pieces.set(buffer.buffer, { buffer, holders: 1 });
  return buffer;
}

/** The lender has done with a piece. Each is given back once. */
export function giveBack(piece: Buffer): void {
  letGo(pieces.get(piece.buffer));
}

/** Keeps what a chunk lies in. @returns what lets it go, once; `undefined` where the chunk is not of such memory */
export function keepPiece(chunk: Uint8Array): (() => void) | undefined {
  const piece = pieces.get(chunk.buffer);
  if (piece === undefined) return undefined;
  piece.holders += 1;
  return () => letGo(piece);
}

/** The same bytes, in memory that stays theirs. */
export function lasting(chunk: Buffer): Buffer {
  return pieces.has(chunk.buffer) ? Buffer.from(chunk) : chunk;
}

function letGo(piece: Piece | undefined): void {
  if (piece === undefined) return;
  piece.holders -= 1;
  if (piece.holders === 0 && free.length * PIECE_BYTES < MAX_FREE_BYTES) free.push(piece);
}
