/** What a registry wants people to be told beside its answer: `Warning: 299` headers. */
import { printable } from './answer-error.js';
import { hideSecrets } from './hide-secrets.js';
import type { WireResponse } from './wire.js';

/** The warnings of an answer, ten at most, each as one line that names the host; without what was shown to it. */
export function responseWarnings({ headers, url }: WireResponse, secrets: readonly string[]): readonly string[] {
  return headers
    .all('warning')
    .slice(0, 10)
    .flatMap((line) => /^299 \S{1,200} "((?:[^"\\]|\\.){1,2000})"/.exec(line)?.[1] ?? [])
    .map((text) => `${url.host}: ${printable(hideSecrets(text.replace(/\\(.)/g, '$1'), secrets), 500)}`);
}
