/** How long an engine may be silent: not for long, but where it has work to do before it can say anything. */
import type { ClientRequest, IncomingMessage } from 'node:http';

/**
 * How long an engine may be silent while it gathers an image or loads one, in milliseconds: half an hour, or the
 * longest silence that is allowed otherwise, where that is longer.
 */
export const ENGINE_WORK_MS = 30 * 60 * 1000;

/** What silence is allowed. */
export interface AllowedSilence {
  /** In milliseconds: while connecting, while the engine takes or gives bytes, before an answer that costs no work. */
  readonly timeoutMs: number;
  /** When the engine works, and may be silent for `ENGINE_WORK_MS`: before its answer, or until the end of that. */
  readonly works?: 'before' | 'throughout' | undefined;
}

/**
 * Destroys a request, or its answer once that is there, with an error when the engine is silent for too long. The
 * silence of this side is none: a body that has nothing to give yet, an answer that is not read yet.
 */
export function watchSilence(
  call: ClientRequest,
  { timeoutMs, works }: AllowedSilence,
  errorAfter: (ms: number) => Error,
): void {
  const workMs = Math.max(timeoutMs, ENGINE_WORK_MS);
  let answer: IncomingMessage | undefined;
  call.once('socket', (socket) => {
    let allowedMs = timeoutMs;
    const allow = (ms: number): void => {
      allowedMs = ms;
      socket.setTimeout(ms);
    };
    const isOurs = (): boolean => {
      if (answer !== undefined) return answer.readableLength > 0;
      return !call.writableFinished && !socket.connecting && call.writableLength === 0;
    };
    allow(timeoutMs);
    call.once('finish', () => {
      if (answer === undefined && works !== undefined) allow(workMs);
    });
    call.once('response', (got: IncomingMessage) => {
      answer = got;
      // Whoever reads it hears of a failure.
      got.on('error', () => {});
      allow(works === 'throughout' ? workMs : timeoutMs);
    });
    socket.on('timeout', () => {
      const { bytesRead } = socket;
      // What came while this process was held up is read first.
      setImmediate(() => {
        if (socket.bytesRead !== bytesRead || isOurs()) allow(allowedMs);
        else (answer ?? call).destroy(errorAfter(allowedMs));
      });
    });
  });
}
