/** What is mounted where, as the kernel tells this process. Linux; elsewhere nothing is. */
import { readFileSync } from 'node:fs';

/** One mount. */
export interface MountEntry {
  readonly mountpoint: string;
  /** The file system's type, `erofs`. */
  readonly type: string;
  /** What was mounted: a path, or a word. */
  readonly source: string;
  /** Of an overlay: the folder of its changes, as the option was given, with its escapes. */
  readonly upper?: string | undefined;
}

const UPPER = 'upperdir=';

/** All mounts this process sees, in the order they were made: of several at one place, the last one shows. */
export function readMountTable(path = '/proc/self/mountinfo'): MountEntry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ');
    const mountpoint = before?.split(' ')[4];
    const [type, source, options] = after?.split(' ') ?? [];
    if (mountpoint === undefined || type === undefined || source === undefined) continue;
    const entry = { mountpoint: plainPath(mountpoint), type, source: plainPath(source) };
    // A comma in a path is written as digits, too.
    const upper = type === 'overlay' ? options?.split(',').find((one) => one.startsWith(UPPER)) : undefined;
    entries.push(upper === undefined ? entry : { ...entry, upper: plainPath(upper.slice(UPPER.length)) });
  }
  return entries;
}

/** The kernel writes space, tab, newline, backslash and # as three octal digits, byte by byte. */
function plainPath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
