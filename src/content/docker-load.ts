/**
 * Images into a Docker Engine (or podman's service): one request that takes a docker-archive.
 *
 * @see https://docs.docker.com/reference/api/engine/version/v1.44/#tag/Image/operation/ImageLoad
 */
import { PassThrough } from 'node:stream';
import { RootfsError, systemErrorCode } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import { readLimited } from '../io/limit.js';
import { askEngine, type EngineOptions, pingEngine, unreachable } from './docker-engine.js';

/** The most bytes that an engine may say while it loads: 1 MiB. */
const MAX_REPORT_BYTES = 1024 * 1024;

/**
 * Loads what `make` writes into an engine. That it answers is made sure before anything is made; the request with the
 * archive starts with its first byte, so that an engine waits for no download.
 *
 * @param place What errors name.
 * @param make Writes a whole docker-archive; what it returns comes back.
 * @throws RootfsError `ERR_NETWORK` (no engine there, or it hung up), `ERR_TIMEOUT` (it is silent), `ERR_PERMISSION`,
 *   `ERR_DENIED`, `ERR_OPTION_INVALID`, `ERR_REGISTRY` (it did not take the archive, or is no engine); what `make` throws; the abort's reason
 */
export async function loadIntoEngine<T>(
  place: string,
  make: (write: (chunk: Uint8Array) => Promise<void>) => Promise<T>,
  options: EngineOptions = {},
): Promise<T> {
  await pingEngine(place, options);
  const body = new PassThrough();
  // Whoever writes or loads hears of a failure.
  body.on('error', () => {});
  let loading: Promise<void> | undefined;
  let refused: { readonly error: unknown } | undefined;
  const write = async (chunk: Uint8Array): Promise<void> => {
    loading ??= load(body, place, options)
      .catch((error: unknown) => {
        refused = { error };
      })
      // Whatever it said: it takes no more, and what is still to be written must not wait for it.
      .finally(() => body.destroy());
    await new Promise<void>((written, failed) => {
      // A stream that is destroyed while it waits to be read never tells that of what was written last.
      const closed = (): void => failed(endedEarly(place));
      body.once('close', closed);
      body.write(chunk, (error) => {
        body.removeListener('close', closed);
        if (error) failed(body.destroyed ? endedEarly(place) : error);
        else written();
      });
    });
  };
  try {
    const made = await make(write);
    body.end();
    await loading;
    if (refused !== undefined) throw refused.error;
    return made;
  } catch (error) {
    // A write fails because the engine has hung up: what it said is the reason.
    const hungUp = body.destroyed;
    body.destroy(error instanceof Error ? error : undefined);
    await loading;
    throwIfAborted(options.signal);
    throw (hungUp ? refused : undefined)?.error ?? error;
  }
}

async function load(body: PassThrough, place: string, options: EngineOptions): Promise<void> {
  const request = { method: 'POST', path: '/images/load?quiet=1', place, body, works: 'throughout' } as const;
  const answer = await askEngine(request, options);
  try {
    const said = await readLimited(answer, MAX_REPORT_BYTES, place);
    const failure = failureIn(said.toString('utf8'));
    if (failure !== undefined) {
      throw new RootfsError('ERR_REGISTRY', `${place}: the engine did not load it (${failure}); look into its log`, {
        detail: { place, said: failure },
      });
    }
  } catch (error) {
    answer.destroy();
    throw systemErrorCode(error) === undefined ? error : unreachable(error, options.host, place);
  }
}

function endedEarly(place: string): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${place}: the engine ended its answer before it had taken the whole archive; look into its log`,
    { detail: { place } },
  );
}

/** What went wrong, in a stream of JSON documents with status 200: `error` is the old form of `errorDetail`. */
function failureIn(text: string): string | undefined {
  for (const document of text.split(/\r?\n/).flatMap(documentsIn)) {
    const { error, errorDetail } = (document ?? {}) as { error?: unknown; errorDetail?: unknown };
    const { message } = (errorDetail ?? {}) as { message?: unknown };
    const said = [error, message].find((one) => typeof one === 'string' && one !== '');
    if (said !== undefined) return String(said).slice(0, 500);
    if (typeof errorDetail === 'object' && errorDetail !== null) return 'it does not say why';
  }
  return undefined;
}

/** The documents of a line: one, or several without anything between them. Engines also say what is no JSON. */
function documentsIn(line: string): readonly unknown[] {
  try {
    return [JSON.parse(line)];
  } catch {
    const parts = line.split(/(?<=\})\s*(?=\{)/);
    return parts.length === 1 ? [] : parts.flatMap(documentsIn);
  }
}
