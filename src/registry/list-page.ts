/** One page of a list, read within bounds. */
import { RootfsError } from '../errors.js';
import { parseJson } from '../spec/parse-json.js';
import { printable, type Subject } from './answer-error.js';
import { readDocument } from './read-document.js';
import type { WireResponse } from './wire.js';

/** The largest page that is read, in bytes. */
const MAX_PAGE_BYTES = 32 * 1024 * 1024;

/** One page: its JSON value and its headers. */
export interface Page {
  readonly value: unknown;
  readonly response: WireResponse;
}

/**
 * Reads a page.
 *
 * @param isOther Whether the answer is nothing that was asked for if it is no JSON: `undefined` is returned then.
 * @throws RootfsError `ERR_REGISTRY` (no JSON); as `readDocument`
 */
export async function readPage(response: WireResponse, subject: Subject, isOther = false): Promise<Page | undefined> {
  const bytes = await readDocument(response, MAX_PAGE_BYTES, subject.name);
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

  constructor(field: 'tags' | 'repositories', subject: Subject) {
    this.#field = field;
    this.#subject = subject;
  }

  /** The names in a page; none where the field is missing or null. @throws RootfsError `ERR_REGISTRY` where it is no list */
  read({ value, response }: Page): string[] {
    const list = (value as Record<string, unknown> | null)?.[this.#field];
    if (list === undefined || list === null) {
      const { errors } = (value ?? {}) as { errors?: unknown };
      if (list === undefined && Array.isArray(errors) && errors.length > 0) {
        throw notAList(response, this.#subject, 'it holds errors instead');
      }
      return [];
    }
    if (!Array.isArray(list)) throw notAList(response, this.#subject, `its field ${this.#field} is no list`);
    return list
      .filter((name): name is string => typeof name === 'string' && name !== '' && name.length <= 1024)
      .map((name) => printable(name, 1024));
  }
}

function notAList(response: WireResponse, subject: Subject, problem: string, cause?: unknown): RootfsError {
  return new RootfsError(
    'ERR_REGISTRY',
    `${subject.name}: ${response.url.host} answered with something that is no list (${problem}); check that this is a registry`,
    { cause, detail: { host: response.url.host } },
  );
}
