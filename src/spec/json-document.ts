/**
 * From bytes to a checked value: the one door through which an image's JSON documents come in.
 *
 * Knows JSON and valibot; what the fields mean stands in the documents' own files. This file and those that read
 * documents load valibot (10 ms); types, digests, references and platforms do not.
 */
import * as v from 'valibot';
import { type ErrorCode, RootfsError } from '../errors.js';
import { endOfString } from './end-of-string.js';
import { isObject, parseJson } from './parse-json.js';
import { shortText } from './short-text.js';

/** The most bytes that a document may have unless a caller says otherwise: 4 MiB, what registries take. */
export const MAX_JSON_BYTES = 4 * 1024 * 1024;

/** How deep arrays and objects may lie in each other. Real documents need 6; beyond the bound lies only attack. */
export const MAX_JSON_DEPTH = 64;

/** What every document reader takes. */
export interface ParseOptions {
  /** What messages start with: a reference or a digest. What the document is (`image manifest`, …) when absent. */
  readonly subject?: string | undefined;
  /** The most bytes to read; `MAX_JSON_BYTES` when absent. */
  readonly maxBytes?: number | undefined;
}

/** What a reader says about the document it reads. */
export interface DocumentKind {
  /** In the words of a message: `image manifest`. */
  readonly name: string;
  readonly code: ErrorCode;
  /** Names of lists for which `null` means empty: Go writes an empty list so. */
  readonly lists?: readonly string[] | undefined;
}

/** A parsed JSON object whose fields nobody has checked yet. */
export type JsonObject = Record<string, unknown>;

/**
 * Reads a JSON object: UTF-8 without exception, bounded in bytes and depth. The last of several equal keys counts;
 * `__proto__` is dropped; fields that are `null` are absent, which the specification declares equal.
 *
 * @throws RootfsError the kind's own code; `ERR_LIMIT_EXCEEDED` (too many bytes, too deep)
 */
export function readJsonObject(bytes: Uint8Array, kind: DocumentKind, options: ParseOptions = {}): JsonObject {
  const { subject = kind.name, maxBytes = MAX_JSON_BYTES } = options;
  if (bytes.byteLength > maxBytes) {
    throw new RootfsError(
      'ERR_LIMIT_EXCEEDED',
      `${subject}: the ${kind.name} has ${bytes.byteLength} bytes; at most ${maxBytes} are read, and few images need more`,
      { detail: { subject, bytes: bytes.byteLength, maxBytes } },
    );
  }
  checkDepth(bytes, kind, subject);
  let value: unknown;
  try {
    value = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    const syntax = marked ? 'JSON but begins with a byte order mark, which JSON has not' : 'JSON';
    const reason = error instanceof SyntaxError ? syntax : 'UTF-8';
    throw new RootfsError(kind.code, `${subject}: the ${kind.name} is not ${reason}; ask who publishes it`, {
      cause: error,
      detail: { subject },
    });
  }
  if (!isObject(value)) {
    throw new RootfsError(kind.code, `${subject}: the ${kind.name} is not a JSON object; ask who publishes it`, {
      detail: { subject },
    });
  }
  settleNulls(value, new Set(kind.lists));
  return value;
}

/**
 * Checks a value against a schema and returns it as it is: fields that the schema does not name are kept.
 *
 * @throws RootfsError the kind's own code, naming the first field that is wrong
 */
export function checkDocument<T>(
  schema: v.GenericSchema<unknown, unknown>,
  value: unknown,
  kind: DocumentKind,
  subject: string = kind.name,
): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return value as T;
  const issue = result.issues[0];
  const path = v.getDotPath(issue) ?? '';
  const field = path === '' ? `the ${kind.name}` : `${path} of the ${kind.name}`;
  const found = shortText(issue.received);
  const expected = issue.message.startsWith('Invalid ') ? issue.expected : issue.message;
  const problem = issue.received === 'undefined' ? 'is missing' : `is wrong: expected ${expected}, found ${found}`;
  throw new RootfsError(kind.code, `${subject}: ${field} ${problem}; ask who publishes it`, {
    detail: { subject, field: path, expected, found },
  });
}

/** A JSON object, and no list: valibot takes lists for objects. */
export const jsonObject: v.GenericSchema<unknown, JsonObject> = v.custom<JsonObject>(isObject, 'an object');

/** An object of strings: annotations, labels. */
export const stringMap: v.GenericSchema<unknown, unknown> = v.custom<Record<string, string>>(
  (value) => isObject(value) && Object.values(value).every((entry) => typeof entry === 'string'),
  'an object whose values are strings',
);

/** An object whose values are objects: Go's sets. */
export const stringSet: v.GenericSchema<unknown, unknown> = v.custom<Record<string, JsonObject>>(
  (value) => isObject(value) && Object.values(value).every(isObject),
  'an object whose values are objects',
);

/** A media type as RFC 6838 has them. */
export const mediaType: v.GenericSchema<unknown, unknown> = v.custom<string>(
  isMediaType,
  'a media type as in application/json',
);

/** A media type that may be left out; Go also writes the empty text for that. */
export const optionalMediaType: v.GenericSchema<unknown, unknown> = v.optional(
  v.custom<string>((value) => value === '' || isMediaType(value), 'a media type as in application/json'),
);

/**
 * The type of a layer: whoever makes an artifact names its parts, and published ones have parameters, which RFC 6838
 * leaves out: `application/vnd.dev.sigstore.bundle+json;version=0.2`.
 */
export const layerMediaType: v.GenericSchema<unknown, unknown> = v.custom<string>(
  isParameterized,
  'a media type as in application/json',
);

/** The type of an artifact, with parameters or without; it may be left out, or be empty. */
export const artifactType: v.GenericSchema<unknown, unknown> = v.optional(
  v.custom<string>((value) => value === '' || isParameterized(value), 'a media type as in application/json'),
);

/** A list of strings. */
export const strings: v.GenericSchema<unknown, unknown> = v.array(v.string());

/** A list with a bound: more entries are `ERR_LIMIT_EXCEEDED`. */
export function checkLength(list: readonly unknown[], field: string, limit: number, subject: string): void {
  if (list.length <= limit) return;
  throw new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${subject}: ${field} has ${list.length} entries; at most ${limit} are read, and no image needs more`,
    { detail: { subject, field, entries: list.length, limit } },
  );
}

const NAME = '[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}';
const MEDIA_TYPE = new RegExp(`^${NAME}/${NAME}$`);
const PARAMETERIZED = new RegExp(`^${NAME}/${NAME}(?: ?; ?${NAME}=${NAME}){0,8}$`);

function isMediaType(value: unknown): boolean {
  return typeof value === 'string' && MEDIA_TYPE.test(value);
}

function isParameterized(value: unknown): boolean {
  return typeof value === 'string' && PARAMETERIZED.test(value);
}

/** Counts brackets outside of strings before the parser sees them: a bound that no parser's stack has to find. */
function checkDepth(bytes: Uint8Array, kind: DocumentKind, subject: string): void {
  let depth = 0;
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte = bytes[i];
    if (byte === 0x22) i = endOfString(bytes, i);
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_JSON_DEPTH) {
        throw new RootfsError(
          'ERR_LIMIT_EXCEEDED',
          `${subject}: the ${kind.name} is nested over ${MAX_JSON_DEPTH} levels deep; no image needs that`,
          { detail: { subject, limit: MAX_JSON_DEPTH } },
        );
      }
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
}

function settleNulls(root: JsonObject, lists: ReadonlySet<string>): void {
  const pending: unknown[] = [root];
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (Array.isArray(value)) {
      for (const entry of value) if (typeof entry === 'object' && entry !== null) pending.push(entry);
    } else if (isObject(value)) {
      for (const [key, entry] of Object.entries(value)) {
        if (key === '__proto__') delete value[key];
        else if (entry === null && lists.has(key)) value[key] = [];
        else if (entry === null) delete value[key];
        else if (typeof entry === 'object') pending.push(entry);
      }
    }
  }
}
