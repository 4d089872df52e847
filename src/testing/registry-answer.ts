/** An answer before it is sent, and the common ones. */

/** Status, headers and body of an answer; what happens on its way is another matter (`delivery.ts`). */
export interface Answer {
  status: number;
  /** Lower-case names. `content-length` is set from the body unless a fault says otherwise. */
  readonly headers: Map<string, string | readonly string[]>;
  body: Buffer;
  /** The blob that `body` is a range of. */
  whole?: Buffer | undefined;
  /** No `content-length`: the body comes chunked. */
  chunked: boolean;
  /** After `body` more bytes follow for as long as the client reads. */
  endless: boolean;
}

/** An answer with these headers; `undefined` ones are left out. */
export function answer(
  status: number,
  headers: Readonly<Record<string, string | readonly string[] | undefined>> = {},
  body: Buffer | string = '',
): Answer {
  const list = new Map<string, string | readonly string[]>();
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) list.set(name, value);
  return {
    status,
    headers: list,
    body: typeof body === 'string' ? Buffer.from(body) : body,
    chunked: false,
    endless: false,
  };
}

/** A JSON answer. */
export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string | undefined>> = {},
): Answer {
  return answer(status, { 'content-type': 'application/json', ...headers }, JSON.stringify(value));
}

/** An error as the distribution specification writes it. */
export function failure(status: number, code: string, message: string, detail?: unknown): Answer {
  return json(status, { errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] });
}
