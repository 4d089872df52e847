/**
 * Credential helpers: programs named `docker-credential-<name>` that keep secrets and speak JSON over their pipes.
 *
 * @see https://github.com/docker/docker-credential-helpers#development
 */
import { RootfsError, systemErrorCode } from '../errors.js';
import { throwIfAborted } from '../io/abort.js';
import type { Credential } from './credentials.js';

/** How long a helper may take, in milliseconds; it may have to ask somebody. */
export const HELPER_TIMEOUT_MS = 30_000;
/** How long a helper that has ended may leave its pipe open, in milliseconds: an agent that it started may hold it. */
const LINGER_MS = 1_000;
/** The most a helper may answer: 1 MiB. */
export const MAX_HELPER_BYTES = 1024 * 1024;

/** Options of one call of a helper. */
export interface HelperOptions {
  /** The helper's environment; its PATH is where the helper is looked for. */
  readonly env: NodeJS.ProcessEnv;
  /** Default `HELPER_TIMEOUT_MS`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a helper knows: a credential, nothing (`unknown`), or it is not there or does not work (`failed`, and why). */
export type HelperAnswer =
  | { readonly kind: 'found'; readonly credential: Credential }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'failed'; readonly reason: string };

/** Checks how long a helper may take. @throws RootfsError `ERR_OPTION_INVALID` */
export function checkHelperTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (timeoutMs > 0 && timeoutMs <= 0x7fffffff)) return;
  throw new RootfsError(
    'ERR_OPTION_INVALID',
    `helperTimeoutMs: ${String(timeoutMs)} is not a number of milliseconds above 0; give one, as in 30000`,
    { detail: { option: 'helperTimeoutMs', value: String(timeoutMs) } },
  );
}

/**
 * Asks a helper for the credential of `server`. A user named `<token>` means that the secret is an identity token.
 *
 * @param name What follows `docker-credential-`; checked by `findHelper`.
 * @throws RootfsError `ERR_CREDENTIALS` when it does not answer in time or answers nonsense; the signal's reason
 */
export async function askHelper(name: string, server: string, options: HelperOptions): Promise<HelperAnswer> {
  const run = await runHelper(name, 'get', server, options);
  if (run.kind === 'failed') return run;
  if (run.exitCode !== 0) {
    return isUnknown(run.output)
      ? { kind: 'unknown' }
      : { kind: 'failed', reason: `it ended with code ${run.exitCode}` };
  }
  let answer: unknown;
  try {
    answer = JSON.parse(run.output);
  } catch {
    answer = undefined;
  }
  const { username, secret } = fieldsOf(answer);
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw helperError(name, 'its answer is not the JSON object with Username and Secret that is expected');
  }
  if (secret === '') return { kind: 'unknown' };
  return {
    kind: 'found',
    credential: username === '<token>' ? { identityToken: secret } : { username, password: secret },
  };
}

/** The fields of an answer by their names in lower case: whoever wrote them for Go's readers could spell them anyhow. */
function fieldsOf(answer: unknown): Readonly<Record<string, unknown>> {
  if (typeof answer !== 'object' || answer === null) return {};
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name.toLowerCase(), value]));
}

/**
 * Gives a helper a credential to keep.
 *
 * @throws RootfsError `ERR_TOOL_MISSING`, `ERR_CREDENTIALS`; the signal's reason
 */
export async function storeInHelper(
  name: string,
  server: string,
  credential: Credential,
  options: HelperOptions,
): Promise<void> {
  const { identityToken } = credential;
  const secret =
    identityToken === undefined
      ? { Username: credential.username ?? '', Secret: credential.password ?? '' }
      : { Username: '<token>', Secret: identityToken };
  const run = await runHelper(name, 'store', JSON.stringify({ ServerURL: server, ...secret }), options);
  if (run.kind === 'failed') throw helperMissing(name, run.reason);
  if (run.exitCode !== 0) throw helperError(name, `storing failed with code ${run.exitCode}`);
}

/**
 * Makes a helper forget the credential of `server`.
 *
 * @returns false when it knew none
 * @throws RootfsError `ERR_TOOL_MISSING`, `ERR_CREDENTIALS`; the signal's reason
 */
export async function eraseInHelper(name: string, server: string, options: HelperOptions): Promise<boolean> {
  const run = await runHelper(name, 'erase', server, options);
  if (run.kind === 'failed') throw helperMissing(name, run.reason);
  if (run.exitCode !== 0 && !isUnknown(run.output)) throw helperError(name, `erasing failed with code ${run.exitCode}`);
  return run.exitCode === 0;
}

type HelperRun =
  | { readonly kind: 'ended'; readonly exitCode: number; readonly output: string }
  | { readonly kind: 'failed'; readonly reason: string };

async function runHelper(name: string, action: string, input: string, options: HelperOptions): Promise<HelperRun> {
  const { signal, timeoutMs = HELPER_TIMEOUT_MS } = options;
  // Most runs ask no helper; this part of Node is loaded for those that do.
  const { spawn } = await import('node:child_process');
  throwIfAborted(signal);
  return new Promise((resolve, reject) => {
    const child = spawn(`docker-credential-${name}`, [action], { stdio: ['pipe', 'pipe', 'ignore'], env: options.env });
    const chunks: Buffer[] = [];
    let total = 0;
    let timer: NodeJS.Timeout | undefined;
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      settle();
    };
    // A helper's own children may hold its pipes: they are let go here, not waited for.
    const kill = (reason: unknown): void => {
      child.removeAllListeners();
      child.on('error', () => {});
      child.kill('SIGKILL');
      child.stdin.destroy();
      child.stdout.destroy();
      end(() => reject(reason));
    };
    const abort = (): void => kill(signal?.reason);
    child.on('error', (error) => {
      const errno = systemErrorCode(error);
      const reason = errno === 'ENOENT' ? 'it is not on the PATH' : `it cannot be started (${errno ?? 'unknown'})`;
      end(() => resolve({ kind: 'failed', reason }));
    });
    // Where no file can be opened any more there are no pipes either, only that error.
    if (child.stdin === undefined) return;
    timer = setTimeout(() => kill(helperError(name, `it did not answer within ${timeoutMs} ms`)), timeoutMs);
    signal?.addEventListener('abort', abort, { once: true });
    child.stdin.on('error', () => {});
    child.stdout.on('error', () => {});
    child.stdout.on('data', (chunk: Buffer) => {
      total += chunk.length;
      if (total > MAX_HELPER_BYTES) kill(helperError(name, `its answer is longer than ${MAX_HELPER_BYTES} bytes`));
      else chunks.push(chunk);
    });
    const ended = (code: number | null): void => {
      child.stdout.destroy();
      end(() => resolve({ kind: 'ended', exitCode: code ?? 128, output: Buffer.concat(chunks).toString('utf8') }));
    };
    child.on('exit', (code) => {
      clearTimeout(timer);
      timer = setTimeout(() => ended(code), LINGER_MS);
    });
    child.on('close', ended);
    child.stdin.end(input);
  });
}

function isUnknown(output: string): boolean {
  return /credentials not found/i.test(output.slice(0, 4096));
}

function helperError(name: string, problem: string): RootfsError {
  const program = `docker-credential-${name}`;
  return new RootfsError('ERR_CREDENTIALS', `${program}: ${problem}; try it by hand: echo HOST | ${program} get`, {
    detail: { helper: program },
  });
}

function helperMissing(name: string, reason: string): RootfsError {
  const program = `docker-credential-${name}`;
  return new RootfsError(
    'ERR_TOOL_MISSING',
    `${program}: ${reason}; install it, or remove it from the auth file to keep credentials there`,
    { detail: { helper: program } },
  );
}
