/** JSON out of answers of the network: what is none may be anything, a token too. */

/**
 * As `JSON.parse`, with an error that quotes nothing of the text: it is kept as a cause and shown.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const place = /\bat position \d+/.exec(String(error))?.[0];
    const end = text.trim() === '' ? 'the text is empty' : undefined;
    throw new SyntaxError(['no JSON', place ?? end].filter((part) => part !== undefined).join(': '));
  }
}

/** Whether a JSON value is an object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON object that bytes hold; `undefined` where they hold anything else. */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
