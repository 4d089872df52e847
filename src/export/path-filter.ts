/** Which paths of a tree are wanted: `--include` and `--exclude` globs. Linear in pattern and path, no regexes. */
import type { CallOptions } from '../content/content.js';
import { RootfsError } from '../errors.js';
import { partError } from '../io/part-error.js';
import { warn } from '../progress.js';
import type { MergedTree, TreeNode } from '../rootfs/tree.js';

/** Patterns that choose paths. */
export interface PathPatterns {
  /**
   * Only what matches, what lies below it, and the directories above it. Absent or empty: everything. Where nothing
   * matches, the root alone is left, and a warning is raised.
   */
  readonly include?: readonly string[] | undefined;
  /** Not what matches, nor what lies below it. Wins over `include`. */
  readonly exclude?: readonly string[] | undefined;
}

/** Decides about one path, given as its names (bytes as latin1) from the root. */
export interface PathFilter {
  /** The path matches an exclude pattern. Paths below an excluded one are not asked about. */
  excludes(path: readonly string[]): boolean;
  /** The path matches an include pattern (or there is none). Paths below an included one are not asked about. */
  includes(path: readonly string[]): boolean;
}

const MAX_PATTERNS = 10_000;
const MAX_PATTERN_LENGTH = 4096;

/**
 * Makes a filter from glob patterns: `*` and `?` stay within a name, `[a-z]` and `[!a-z]` are sets, `**` as a whole
 * name stands for any number of them (as the last name: for what lies below), `\` takes the next character as it is. A pattern is anchored at the root; a
 * leading or trailing slash changes nothing. Patterns are UTF-8 and match bytes.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function pathFilter(patterns: PathPatterns): PathFilter {
  const include = compile('include', patterns.include ?? []);
  const exclude = compile('exclude', patterns.exclude ?? []);
  return {
    excludes: (path) => exclude.some((pattern) => matchPath(pattern, path)),
    includes: (path) => include.length === 0 || include.some((pattern) => matchPath(pattern, path)),
  };
}

/** Whether there are patterns at all. What is no list of them is refused where they are read. */
export function choosesPaths({ include, exclude }: PathPatterns): boolean {
  return (include ?? []).length !== 0 || (exclude ?? []).length !== 0;
}

/**
 * The nodes of a tree that patterns choose, the directories above them included; `undefined` where that is all of
 * them. The root always belongs to them.
 *
 * @throws RootfsError `ERR_OPTION_INVALID`
 */
export function selectNodes(tree: MergedTree, patterns: PathPatterns): ReadonlySet<TreeNode> | undefined {
  if (!choosesPaths(patterns)) return undefined;
  const filter = pathFilter(patterns);
  const selected = new Set<TreeNode>([tree.root]);
  const visit = (node: TreeNode, path: readonly string[], included: boolean): boolean => {
    let any = false;
    for (const child of node.children?.values() ?? []) {
      const childPath = [...path, child.name];
      if (filter.excludes(childPath)) continue;
      const wanted = included || filter.includes(childPath);
      const below = visit(child, childPath, wanted);
      if (!wanted && !below) continue;
      selected.add(child);
      any = true;
    }
    return any;
  };
  visit(tree.root, [], false);
  return selected;
}

/** Raises a warning where patterns left nothing: with `include` that is a mistake more often than a wish. */
export function warnOfNothing(entries: number, options: PathPatterns & Pick<CallOptions, 'onProgress'>): void {
  const { onProgress } = options;
  const [include, exclude] = [options.include ?? [], options.exclude ?? []];
  const [first] = include;
  if (entries > 0 || first === undefined) return;
  const shown = JSON.stringify(first.slice(0, 100));
  const more = include.length === 2 ? 'other pattern' : `${include.length - 1} other patterns`;
  const others = include.length > 1 ? ` or the ${more}` : '';
  const but = exclude.length > 0 ? ' and is not excluded' : '';
  const advice = 'patterns begin at the root, **/NAME finds a name anywhere';
  warn(onProgress, `include: nothing in the image matches ${shown}${others}${but}; ${advice}`);
}

/** A token of a name's pattern: a character, any one, any number of any, or a set of characters. */
type Token =
  | string
  | typeof ANY
  | typeof MANY
  | { readonly not: boolean; readonly ranges: readonly [string, string][] };
const ANY = 0;
const MANY = 1;

type Pattern = readonly (readonly Token[] | undefined)[];

function compile(option: string, texts: readonly string[]): Pattern[] {
  const given: unknown = texts;
  if (!Array.isArray(given) || given.some((text) => typeof text !== 'string')) {
    throw partError(option, 'a list of path patterns', given, "give one as ['usr/**']");
  }
  if (texts.length > MAX_PATTERNS) {
    throw new RootfsError('ERR_OPTION_INVALID', `${option}: at most ${MAX_PATTERNS} patterns, found ${texts.length}`);
  }
  return texts.map((text) => {
    const names = Buffer.from(text)
      .toString('latin1')
      .split('/')
      .filter((name) => name !== '' && name !== '.');
    if (text.length > MAX_PATTERN_LENGTH || names.length === 0 || names.includes('..')) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${option} ${JSON.stringify(text.slice(0, 100))}: expected a path pattern below the root, without "..", of at most ${MAX_PATTERN_LENGTH} characters`,
        { detail: { option, found: text.slice(0, 100) } },
      );
    }
    // What lies below is meant by a last `**`, not the directory itself.
    if (names.at(-1) === '**') names.push('*');
    return names.map((name) => (name === '**' ? undefined : compileName(name)));
  });
}

function compileName(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (char === '*') {
      if (tokens.at(-1) !== MANY) tokens.push(MANY);
    } else if (char === '?') {
      tokens.push(ANY);
    } else if (char === '\\' && at + 1 < text.length) {
      tokens.push(text[++at] as string);
    } else if (char === '[') {
      const set = readSet(text, at);
      tokens.push(set?.token ?? char);
      at = set?.end ?? at;
    } else {
      tokens.push(char);
    }
  }
  return tokens;
}

function readSet(text: string, start: number): { readonly token: Token; readonly end: number } | undefined {
  let at = start + 1;
  const not = text[at] === '!' || text[at] === '^';
  if (not) at++;
  const ranges: [string, string][] = [];
  for (const first = at; at < text.length; at++) {
    if (text[at] === ']' && at > first) return { token: { not, ranges }, end: at };
    const from = text[at] as string;
    if (text[at + 1] === '-' && at + 2 < text.length && text[at + 2] !== ']') {
      ranges.push([from, text[at + 2] as string]);
      at += 2;
    } else {
      ranges.push([from, from]);
    }
  }
  return undefined;
}

/** Matches with one point to go back to: the last `**`. Going back further can never find more. */
function matchPath(pattern: Pattern, path: readonly string[]): boolean {
  return matchMany(
    pattern.length,
    path.length,
    (at) => pattern[at] === undefined,
    (at, position) => matchName(pattern[at] as readonly Token[], path[position] as string),
  );
}

function matchName(tokens: readonly Token[], name: string): boolean {
  return matchMany(
    tokens.length,
    name.length,
    (at) => tokens[at] === MANY,
    (at, position) => {
      const token = tokens[at] as Token;
      const char = name[position] as string;
      if (typeof token === 'string') return token === char;
      if (typeof token === 'number') return true;
      return token.ranges.some(([from, to]) => char >= from && char <= to) !== token.not;
    },
  );
}

function matchMany(
  patternLength: number,
  inputLength: number,
  isMany: (at: number) => boolean,
  matches: (at: number, position: number) => boolean,
): boolean {
  let at = 0;
  let position = 0;
  let back = -1;
  let backPosition = 0;
  while (position < inputLength) {
    if (at < patternLength && isMany(at)) {
      back = at++;
      backPosition = position;
    } else if (at < patternLength && matches(at, position)) {
      at++;
      position++;
    } else if (back >= 0) {
      at = back + 1;
      position = ++backPosition;
    } else {
      return false;
    }
  }
  while (at < patternLength && isMany(at)) at++;
  return at === patternLength;
}
