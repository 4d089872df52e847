/** A body of which it is not certain whether somebody in between compressed it, or only says so. */
import { Gathered } from '../io/gathered.js';
import { decodedBody } from './decoded-body.js';
import type { Encoding } from './read-document.js';
import { WireBody } from './wire-body.js';

/** How much of a body is looked at, in bytes. */
const LOOK_BYTES = 512;

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

/**
 * Makes what undoes an encoding where a body has it, and leaves a body as it came where that is the blob itself under a
 * wrong label. Its first bytes tell, with those that a blob of `mediaType` begins with.
 */
export function undoneBody(
  mediaType: string,
): (body: WireBody, encoding: Encoding, subject: string) => Promise<WireBody> {
  return async (body, encoding, subject) => {
    const { head, whole } = await lookInto(body);
    return (await isEncoded(head, encoding, mediaType)) ? decodedBody(whole, encoding, subject) : whole;
  };
}

async function isEncoded(head: Buffer, encoding: Encoding, mediaType: string): Promise<boolean> {
  const isGzip = startsWith(head, GZIP);
  if (encoding === 'gzip' || encoding === 'x-gzip') {
    if (!isGzip) return false;
    return /[.+]gzip$/.test(mediaType) ? startsWith(await firstOf(head), GZIP) : /\.tar(?:\+zstd)?$/.test(mediaType);
  }
  // These begin with nothing of their own.
  if (/[.+]gzip$/.test(mediaType)) return head.length > 0 && !isGzip;
  return /\.tar\+zstd$/.test(mediaType) && head.length > 0 && !startsWith(head, ZSTD);
}

/** What the beginning of a gzip stream is the beginning of. */
async function firstOf(head: Buffer): Promise<Buffer> {
  const { constants, gunzipSync } = await import('node:zlib');
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}

function startsWith(bytes: Buffer, magic: readonly number[]): boolean {
  return magic.every((value, at) => bytes[at] === value);
}

/** Reads the beginning of a body. @returns it, and a body that begins with it again */
function lookInto(body: WireBody): Promise<{ readonly head: Buffer; readonly whole: WireBody }> {
  return new Promise((resolve, reject) => {
    const gathered = new Gathered();
    let size = 0;
    const looked = (isOver: boolean): void => {
      const head = Buffer.from(gathered.bytes);
      resolve({ head, whole: startingWith(head, isOver ? undefined : body) });
    };
    body.attach({
      data: (chunk) => {
        gathered.add(chunk);
        size += chunk.length;
        if (size < LOOK_BYTES) return true;
        looked(false);
        return false;
      },
      end: () => looked(true),
      fail: reject,
    });
  });
}

function startingWith(head: Buffer, rest: WireBody | undefined): WireBody {
  let isStarted = false;
  let isWanted = true;
  const whole: WireBody = new WireBody({
    resume: () => {
      isWanted = true;
      if (isStarted) return rest?.resume();
      isStarted = true;
      whole.data(head);
      if (rest === undefined) return whole.end();
      const sink = {
        data: (chunk: Buffer): boolean => {
          whole.data(chunk);
          return isWanted;
        },
        end: (): void => whole.end(),
        fail: (reason: unknown): void => whole.fail(reason),
      };
      rest.attach(sink);
    },
    pause: () => {
      isWanted = false;
    },
    cancel: () => rest?.cancel(),
  });
  return whole;
}
