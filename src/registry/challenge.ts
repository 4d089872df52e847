/**
 * What a registry wants to be shown: the WWW-Authenticate header, taken apart.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */

/** One challenge: its scheme in lower case and its parameters, names in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** More header text than this is not read; no registry needs it. */
const MAX_LENGTH = 16_384;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const UNQUOTED = /[^\s,"]+/y;

/**
 * The challenges of all WWW-Authenticate lines, in order. Quoted commas, several challenges in a line, any case,
 * spaces around `=`; what cannot be read is passed over.
 */
export function parseChallenges(lines: readonly string[]): Challenge[] {
  return lines.flatMap((line) => parseLine(line.slice(0, MAX_LENGTH)));
}

function parseLine(line: string): Challenge[] {
  const challenges: Challenge[] = [];
  let parameters: Map<string, string> | undefined;
  let at = 0;
  const skip = (characters: RegExp): void => {
    while (at < line.length && characters.test(line.charAt(at))) at++;
  };
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(line)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  while (at < line.length) {
    skip(/[\s,]/);
    const word = take(TOKEN);
    if (word === undefined) {
      at++;
      continue;
    }
    const afterWord = at;
    skip(/\s/);
    if (line[at] === '=' && parameters !== undefined) {
      at++;
      skip(/\s/);
      const value = line[at] === '"' ? quoted() : (take(UNQUOTED) ?? '');
      const name = word.toLowerCase();
      if (!parameters.has(name)) parameters.set(name, value);
      continue;
    }
    at = afterWord;
    parameters = new Map();
    challenges.push({ scheme: word.toLowerCase(), parameters });
  }
  return challenges;

  function quoted(): string {
    let value = '';
    for (at++; at < line.length && line[at] !== '"'; at++) {
      if (line[at] === '\\' && at + 1 < line.length) at++;
      value += line.charAt(at);
    }
    at++;
    return value;
  }
}
