/**
 * The errors of the house: one closed list of codes, two classes.
 *
 * This file stands on the ground floor: it knows nobody, everybody may throw from it. A message starts with its
 * subject, says what was expected and what was found, and ends with what to do next. No message holds a secret.
 */

import { isNativeError } from 'node:util/types';

/**
 * Every code that a public verb can throw. The list is closed: scripts may match on it. What each means:
 *
 * - usage: `ERR_OPTION_INVALID` `ERR_REFERENCE_INVALID` `ERR_DIGEST_INVALID` `ERR_PLATFORM_INVALID`
 * - absent: `ERR_NOT_FOUND` (manifest, tag, blob, file) `ERR_PLATFORM_NOT_FOUND` (the index has no such platform)
 * - refused by the other side: `ERR_UNAUTHORIZED` (no or wrong credentials) `ERR_DENIED` (known, but not allowed)
 * - bytes that are not what they should be: `ERR_DIGEST_MISMATCH` `ERR_SIZE_MISMATCH` `ERR_DIFFID_MISMATCH`
 *   `ERR_DECOMPRESS` `ERR_TAR_INVALID` `ERR_MANIFEST_INVALID` `ERR_CONFIG_INVALID` `ERR_LAYOUT_INVALID`
 *   `ERR_ARCHIVE_INVALID` `ERR_LAYER_INVALID` (a layer that cannot be applied) `ERR_LIMIT_EXCEEDED` (a guard)
 * - what this tool does not read: `ERR_NOT_AN_IMAGE` `ERR_MEDIA_TYPE_UNSUPPORTED` `ERR_DIGEST_UNSUPPORTED`
 *   `ERR_SCHEMA1_UNSUPPORTED` `ERR_UNSUPPORTED` (the form or the source cannot do what was asked)
 * - the way there: `ERR_NETWORK` `ERR_TIMEOUT` `ERR_TLS` `ERR_RATE_LIMITED` `ERR_REGISTRY` (an answer no registry
 *   should give) `ERR_RANGE_INVALID` (416)
 * - this machine: `ERR_FILESYSTEM` `ERR_NO_SPACE` `ERR_PERMISSION` `ERR_TOOL_MISSING` `ERR_NATIVE_MISSING`
 *   `ERR_WOULD_LOSE` (going on would lose owners, devices or attributes) `ERR_BUSY` `ERR_CREDENTIALS`
 * - ours: `ERR_INTERNAL`
 */
export type ErrorCode =
  | 'ERR_OPTION_INVALID'
  | 'ERR_REFERENCE_INVALID'
  | 'ERR_DIGEST_INVALID'
  | 'ERR_PLATFORM_INVALID'
  | 'ERR_NOT_FOUND'
  | 'ERR_PLATFORM_NOT_FOUND'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_DENIED'
  | 'ERR_DIGEST_MISMATCH'
  | 'ERR_SIZE_MISMATCH'
  | 'ERR_DIFFID_MISMATCH'
  | 'ERR_DECOMPRESS'
  | 'ERR_TAR_INVALID'
  | 'ERR_MANIFEST_INVALID'
  | 'ERR_CONFIG_INVALID'
  | 'ERR_LAYOUT_INVALID'
  | 'ERR_ARCHIVE_INVALID'
  | 'ERR_LAYER_INVALID'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_NOT_AN_IMAGE'
  | 'ERR_MEDIA_TYPE_UNSUPPORTED'
  | 'ERR_DIGEST_UNSUPPORTED'
  | 'ERR_SCHEMA1_UNSUPPORTED'
  | 'ERR_UNSUPPORTED'
  | 'ERR_NETWORK'
  | 'ERR_TIMEOUT'
  | 'ERR_TLS'
  | 'ERR_RATE_LIMITED'
  | 'ERR_REGISTRY'
  | 'ERR_RANGE_INVALID'
  | 'ERR_FILESYSTEM'
  | 'ERR_NO_SPACE'
  | 'ERR_PERMISSION'
  | 'ERR_TOOL_MISSING'
  | 'ERR_NATIVE_MISSING'
  | 'ERR_WOULD_LOSE'
  | 'ERR_BUSY'
  | 'ERR_CREDENTIALS'
  | 'ERR_INTERNAL';

/** What an error knows besides its message: plain JSON values (digests, sizes in bytes, paths), never a secret. */
export type ErrorDetail = Readonly<Record<string, unknown>>;

/** What the constructors of the error classes take besides code and message. */
export interface ErrorOptions {
  readonly detail?: ErrorDetail | undefined;
  readonly cause?: unknown;
}

/** Marks the errors of every copy of this package in a process: a plugin or a bundle may bring its own. */
const BRAND = Symbol.for('rootfs-kit/error');

/** What `instanceof` asks a class: its own instances, and for the two classes here those of other copies. */
function isInstance(this: unknown, value: unknown): boolean {
  if (Function.prototype[Symbol.hasInstance].call(this as () => void, value)) return true;
  const brand = (value as { readonly [BRAND]?: unknown } | null | undefined)?.[BRAND];
  return brand !== undefined && (this === RootfsError || (this === RegistryError && brand === 'RegistryError'));
}

/**
 * The error of every public verb. `code` is stable and scripts may match on it; `message` is for people and may change.
 *
 * `detail` holds the facts as JSON values; `cause` is the error underneath, when there is one. `instanceof` is true for
 * the errors of other copies of this package in the process, too.
 */
export class RootfsError extends Error {
  override readonly name: string = 'RootfsError';
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = options.detail ?? {};
  }

  /** The error as one JSON value: code, message, detail. The cause is reduced to its message. */
  toJSON(): Record<string, unknown> {
    const cause = isError(this.cause) ? this.cause.message : undefined;
    return { code: this.code, message: this.message, detail: this.detail, ...(cause === undefined ? {} : { cause }) };
  }
}

/** One entry of a registry's error body (distribution-spec v1.1.1, "Error codes"). */
export interface RegistryErrorEntry {
  readonly code: string;
  readonly message?: string | undefined;
  readonly detail?: unknown;
}

/** Where and how a registry answered: the HTTP status, the method, the URL without credentials and query secrets. */
export interface RegistryErrorFacts {
  readonly status: number;
  readonly method: string;
  readonly url: string;
  readonly errors?: readonly RegistryErrorEntry[] | undefined;
}

/**
 * A registry answered, and the answer was no.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
 */
export class RegistryError extends RootfsError {
  override readonly name: string = 'RegistryError';
  readonly status: number;
  readonly method: string;
  readonly url: string;
  readonly errors: readonly RegistryErrorEntry[];

  constructor(code: ErrorCode, message: string, facts: RegistryErrorFacts, options: ErrorOptions = {}) {
    super(code, message, {
      ...options,
      detail: { status: facts.status, method: facts.method, url: facts.url, ...options.detail },
    });
    this.status = facts.status;
    this.method = facts.method;
    this.url = facts.url;
    this.errors = facts.errors ?? [];
  }
}

// No members that declarations show: with one, the types of two copies would not fit each other. And no static blocks: a
// bundler gives a class that names itself another name, which the first line of every stack would show.
Object.defineProperty(RootfsError.prototype, BRAND, { value: 'RootfsError' });
Object.defineProperty(RegistryError.prototype, BRAND, { value: 'RegistryError' });
Object.defineProperty(RootfsError, Symbol.hasInstance, { value: isInstance });

const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'ERR_NO_SPACE',
  EDQUOT: 'ERR_NO_SPACE',
  EACCES: 'ERR_PERMISSION',
  EPERM: 'ERR_PERMISSION',
  EROFS: 'ERR_PERMISSION',
  // Node's own, under --permission: files cannot be given modes and times there, whatever is allowed.
  ERR_ACCESS_DENIED: 'ERR_PERMISSION',
};

/** What helps against most failures of a kind. */
const USUAL_ADVICE: Partial<Readonly<Record<ErrorCode, string>>> = {
  ERR_NO_SPACE: 'free some space or choose another folder',
  ERR_PERMISSION: 'ask for access, or choose another place',
};

const NOT_HERE = 'this file system cannot do that; choose another';

/** What helps against a failure that has no code of its own. */
const ERRNO_ADVICE: Readonly<Record<string, string>> = {
  EMFILE: 'allow more open files (ulimit -n)',
  ENFILE: 'the machine has too many open files; end what holds them',
  EFBIG: 'allow larger files (ulimit -f), or choose another file system',
  EMLINK: 'choose a file system that allows a file more names, or a folder more folders',
  ENAMETOOLONG: 'choose a shorter path',
  EPIPE: 'what reads it has ended too early; start both again',
  ENOSYS: NOT_HERE,
  ENOTSUP: NOT_HERE,
};

/** The same, where whoever called has nothing better to say. */
const LAST_ADVICE: Readonly<Record<string, string>> = {
  EEXIST: 'something else is there; remove it, or choose another place',
  ENOTDIR: 'something on this path is no folder; remove it, or choose another path',
  EISDIR: 'a folder is there; remove it, or choose another path',
  ELOOP: 'symbolic links on this path lead in a circle; choose another path',
};

const PERMISSION_MODEL_ADVICE = 'Node was started with --permission; start it without';

/** Whether a value is an error, also one of another realm: in Jest, those of the system are none of the tests' `Error`. */
function isError(value: unknown): value is Error {
  return value instanceof Error || isNativeError(value);
}

/** The `code` of an error of the system or of Node (`ENOENT`, `ERR_STREAM_PREMATURE_CLOSE`), or `undefined` where it has none. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!isError(error) || error instanceof RootfsError) return undefined;
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' ? code : undefined;
}

/**
 * Whether an error is one of a system call, also of one that Node refused in the system's place: not one of those that
 * a wrong argument or a broken stream raises, though these have codes, too.
 */
export function isSystemError(error: unknown): boolean {
  const code = systemErrorCode(error) ?? '';
  return /^E(?:RR_FS_\w+|[A-Z0-9]+)$/.test(code) || Object.hasOwn(SYSTEM_CODES, code);
}

/**
 * Wraps what a system call threw; a `RootfsError` comes back as it is.
 *
 * `ENOSPC` and `EDQUOT` become `ERR_NO_SPACE`; `EACCES`, `EPERM`, `EROFS` and what Node refuses under
 * `--permission` become `ERR_PERMISSION`; the rest `ERR_FILESYSTEM`. The system's own code stands in `detail.errno`.
 *
 * @param subject What the message starts with, usually a path.
 * @param advice What to do next; one clause, without a full stop. Default: what usually helps against full disks and
 *   missing permissions, and against something else in the way. Limits of this process, names that are too long, pipes
 *   without a reader and what a file system cannot do have advice of their own.
 */
export function wrapSystemError(error: unknown, subject: string, advice?: string): RootfsError {
  if (error instanceof RootfsError) return error;
  const errno = systemErrorCode(error);
  const code = (errno === undefined ? undefined : SYSTEM_CODES[errno]) ?? 'ERR_FILESYSTEM';
  const message = isError(error) ? error.message : String(error);
  // The path of an open descriptor tells people nothing; the subject says where it was.
  const reason = message.replace(/(?:, \w+(?: '.*?' ->)?)? '\/proc\/self\/fd\/.*$/s, '').replace(/\.$/, '');
  const usual = ERRNO_ADVICE[errno ?? ''] ?? advice ?? USUAL_ADVICE[code] ?? LAST_ADVICE[errno ?? ''];
  const hint = errno === 'ERR_ACCESS_DENIED' ? PERMISSION_MODEL_ADVICE : usual;
  return new RootfsError(code, `${subject}: ${reason}${hint === undefined ? '' : `; ${hint}`}`, {
    cause: error,
    detail: { subject, ...(errno === undefined ? {} : { errno }) },
  });
}
