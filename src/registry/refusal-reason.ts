/** What the body of a refusal says, as it may be shown. Pure. */
import type { RegistryErrorEntry } from '../errors.js';

/** The entries of an error body; empty for HTML, cut JSON or anything else. */
export function errorEntries(body: string): RegistryErrorEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return [];
  }
  const list = (value as { errors?: unknown } | null)?.errors;
  if (!Array.isArray(list)) return [];
  return list.slice(0, 20).flatMap((entry: unknown): RegistryErrorEntry[] => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { code, message, detail } = entry as { code?: unknown; message?: unknown; detail?: unknown };
    if (typeof code !== 'string' && typeof message !== 'string') return [];
    return [
      {
        code: printable(typeof code === 'string' ? code : 'UNKNOWN', 60),
        ...(typeof message === 'string' ? { message: printable(message, 300) } : {}),
        ...(detail === undefined || detail === null ? {} : { detail }),
      },
    ];
  });
}

/**
 * Whether a token server says, as OAuth2 does, that the login it was shown is wrong or has run out.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 */
export function isGrantRefused(body: string): boolean {
  return /^\s*\{[^{}]*"error"\s*:\s*"invalid_(?:grant|client)"/.test(body);
}

/** What a refusal says in words, at most a line of them: its entries, else what other forms of answers call a reason. */
export function reasonOf(errors: readonly RegistryErrorEntry[], body: string, contentType: string | undefined): string {
  if (errors.length > 0) {
    return errors
      .slice(0, 3)
      .map((entry) => {
        const said = entry.message || entry.code.toLowerCase().replaceAll('_', ' ');
        const more = detailText(entry);
        return more === undefined || said.includes(more) ? said : `${said}: ${more}`;
      })
      .join('; ');
  }
  const said = otherReason(body);
  if (said !== undefined) return printable(said, 300);
  if (/html/i.test(contentType ?? '') || /^\s*</.test(body)) {
    const title = /<title[^>]{0,100}>([^<]{1,100})</i.exec(body)?.[1];
    return title === undefined ? 'an HTML page' : `an HTML page: ${printable(title, 100)}`;
  }
  return printable(body, 120);
}

/** What an entry's `detail` says in words: some say "manifest invalid", and only there why. */
function detailText({ detail }: RegistryErrorEntry): string | undefined {
  const text = typeof detail === 'object' ? (detail as { message?: unknown } | null)?.message : detail;
  return typeof text === 'string' && text !== '' ? printable(text, 200) : undefined;
}

/** The forms of a reason beside the specification's: a storage service's XML, OAuth's error, a `message` or `details`. */
function otherReason(body: string): string | undefined {
  const xml = /^\s*<(?:\?xml|Error[\s>])/.test(body)
    ? (/<Message>([^<]{1,1000})</.exec(body) ?? /<Code>([^<]{1,200})</.exec(body))
    : null;
  if (xml !== null) return xml[1];
  let value: Readonly<Record<string, unknown>> | null;
  try {
    value = JSON.parse(body) as Readonly<Record<string, unknown>> | null;
  } catch {
    return undefined;
  }
  const texts = [value?.['error_description'], value?.['message'], value?.['details'], value?.['error']];
  return texts.find((text): text is string => typeof text === 'string' && text !== '');
}

/** Text from the other side as it may stand on a terminal: one line, no control characters, bounded. */
export function printable(text: string, limit: number): string {
  const line = text
    .slice(0, limit * 4)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must go
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ')
    .trim();
  return line.length > limit ? `${line.slice(0, limit)}…` : line;
}
