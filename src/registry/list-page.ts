/** One page of a list, read within bounds. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { warn } from '../progress.js';
import { endOfString } from '../spec/end-of-string.js';
import { parseJson } from '../spec/parse-json.js';
import { isTag, MAX_REPOSITORY_LENGTH } from '../spec/reference.js';
import type { Subject } from './answer-error.js';
import { readDocument } from './read-document.js';
import { printable } from './refusal-reason.js';
import type { WireResponse } from './wire.js';

/** The largest page that is read, in bytes: some registries answer 100,000 tags at once, which are 4 MB or more. */
export const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** How deep arrays and objects may lie in each other in a page. */
const MAX_PAGE_DEPTH = 64;

/** How many values a page may have in all: as a JSON value each may take ten times the memory of its text. */
export const MAX_PAGE_VALUES = 1_000_000;

/** How many of the names that are left out are shown. */
const SHOWN_NAMES = 3;

/** One page: its JSON value and its headers. */
export interface Page {
  readonly value: unknown;
  readonly response: WireResponse;
}

/**
 * Reads a page.
 *
 * @param isOther Whether the answer is nothing that was asked for if it is no JSON: `undefined` is returned then.
 * @throws RootfsError `ERR_REGISTRY` (no JSON), `ERR_LIMIT_EXCEEDED` (too long, too deep, too many values), as
 *   `readDocument`
 */
export async function readPage(response: WireResponse, subject: Subject, isOther = false): Promise<Page | undefined> {
  const bytes = await readDocument(response, MAX_PAGE_BYTES, subject.name);
  checkShape(bytes, subject);
  try {
    return { response, value: parseJson(bytes.toString('utf8')) };
  } catch (error) {
    if (isOther) return undefined;
    throw notAList(response, subject, 'it is not JSON', error);
  }
}

/** Reads the names in a field of the pages of one list. */
export class NameReader {
  readonly #field: 'tags' | 'repositories';
  readonly #subject: Subject;
  readonly #call: CallOptions;
  #told = false;

  constructor(field: 'tags' | 'repositories', subject: Subject, call: CallOptions) {
    this.#field = field;
    this.#subject = subject;
    this.#call = call;
  }

  /**
   * The names in a page; none where the field is missing or null. What is no tag cannot be asked for: it is left out
   * before anybody reads it as the name of something else, with one warning for the list.
   *
   * @throws RootfsError `ERR_REGISTRY` where the page is no object, or the field no list
   */
  read({ value, response }: Page): string[] {
    if (typeof value !== 'object' || Array.isArray(value))
      throw notAList(response, this.#subject, 'it is no JSON object');
    const list = (value as Record<string, unknown> | null)?.[this.#field];
    if (list === undefined || list === null) {
      const { errors } = (value ?? {}) as { errors?: unknown };
      if (list === undefined && Array.isArray(errors) && errors.length > 0) {
        throw notAList(response, this.#subject, 'it holds errors instead');
      }
      return [];
    }
    if (!Array.isArray(list)) throw notAList(response, this.#subject, `its field ${this.#field} is no list`);
    const isName = this.#field === 'tags' ? isTag : isShort;
    const isGood = (name: unknown): name is string => typeof name === 'string' && name !== '' && isName(name);
    const good = list.filter(isGood);
    if (good.length < list.length) this.#tell(list.filter((name: unknown) => !isGood(name)));
    // A tag has no character that a terminal obeys.
    return this.#field === 'tags' ? good : good.map((name) => printable(name, MAX_REPOSITORY_LENGTH));
  }

  #tell(odd: readonly unknown[]): void {
    if (this.#told) return;
    this.#told = true;
    const what = this.#field === 'tags' ? 'tag' : 'repository';
    const shown = odd.slice(0, SHOWN_NAMES).map((name) => {
      return typeof name === 'string' ? JSON.stringify(printable(name, 60)) : printable(JSON.stringify(name), 60);
    });
    const more = odd.length > SHOWN_NAMES ? ' and others' : '';
    warn(
      this.#call.onProgress,
      `${this.#subject.name}: what is listed and cannot be the name of a ${what} is left out (${shown.join(', ')}${more}); ask who runs the registry`,
    );
  }
}

function isShort(name: string): boolean {
  return name.length <= MAX_REPOSITORY_LENGTH;
}

function notAList(response: WireResponse, subject: Subject, problem: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${subject.name}: ${response.url.host} answered with something that is no list (${problem}); check that this is a registry`,
    { cause, detail: { host: response.url.host } },
  );
}

/** Counts what lies outside of strings before the parser makes values of it. */
function checkShape(bytes: Uint8Array, subject: Subject): void {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < bytes.byteLength; i++) {
    const byte = bytes[i] as number;
    // Neither an object nor a list: the parser sees that as soon.
    if (depth === 0 && byte > 0x20 && byte !== 0x5b && byte !== 0x7b) return;
    if (byte === 0x22) i = endOfString(bytes, i);
    else if (byte === 0x2c) values++;
    else if (byte === 0x5b || byte === 0x7b) {
      values++;
      if (++depth > MAX_PAGE_DEPTH)
        throw tooMuch(subject, `is nested over ${MAX_PAGE_DEPTH} levels deep`, MAX_PAGE_DEPTH);
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    if (values > MAX_PAGE_VALUES) throw tooMuch(subject, `has more than ${MAX_PAGE_VALUES} values`, MAX_PAGE_VALUES);
  }
}

function tooMuch(subject: Subject, what: string, limit: number): RootfsError {
  return new RootfsError(
    'ERR_LIMIT_EXCEEDED',
    `${subject.name}: a page of the list ${what}; ask who runs the registry`,
    {
      detail: { subject: subject.name, limit },
    },
  );
}
