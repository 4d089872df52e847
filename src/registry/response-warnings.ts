/** What a registry wants people to be told beside its answer: `Warning: 299` headers. */

import { hideSecrets, secretsOfUrl } from './hide-secrets.js';
import { printable } from './refusal-reason.js';
import type { WireResponse } from './wire.js';

/** One of the warnings in a header: whoever stands in between may join several headers to one. */
const WARNING = /(?:^|,\s*)(\d{3}) \S{1,200} "((?:[^"\\]|\\.){1,2000})"/g;

/** The warnings of an answer, ten at most, each as one line that names the host; without what was shown to it. */
export function responseWarnings({ headers, url }: WireResponse, secrets: readonly string[]): readonly string[] {
  const all = [...secrets, ...secretsOfUrl(url)];
  return headers
    .all('warning')
    .flatMap((line) => [...asWritten(line.slice(0, 16_384)).matchAll(WARNING)])
    .flatMap(([, code, text = '']) => (code === '299' ? [text] : []))
    .slice(0, 10)
    .map((text) => `${url.host}: ${printable(hideSecrets(text.replace(/\\(.)/g, '$1'), all), 500)}`);
}

/** Headers are read as Latin-1; registries write them in UTF-8. */
function asWritten(line: string): string {
  const text = Buffer.from(line, 'latin1').toString('utf8');
  return /[^\0-\xff]/.test(line) || text.includes('\ufffd') ? line : text;
}
