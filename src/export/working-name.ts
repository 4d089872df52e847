/** Names of what is not whole yet, and the way back from a run that was killed. */
import { randomBytes } from 'node:crypto';
import { readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Directory } from '../io/directory.js';
import { isMarkAlive, processMark } from '../io/process-mark.js';
import { removeEntry } from '../io/remove-tree.js';

/** Of the name that something will have: with the mark and the random part, 255 bytes are not exceeded. */
const KEPT_BYTES = 180;
/** `.d` stands behind the name of a folder from which a tool makes the file of that name. */
const WORKING = /^\..*\.rootfs-([0-9a-f]{8}-\d{1,10}-\d{1,20})-[0-9a-f]{12}(?:\.d)?$/s;

/**
 * A new name for the time in which something is written: hidden, beside `name`, with the mark of this process.
 *
 * @param name Bytes as latin1, as is what comes back.
 */
export function workingName(name: string): string {
  // A character of several bytes is not cut in two: the name must survive as text, for calls that take no bytes.
  const kept = name.length <= KEPT_BYTES ? name : name.slice(0, KEPT_BYTES).replace(/[\xc0-\xff][\x80-\xbf]{0,3}$/, '');
  return `.${kept}.rootfs-${processMark()}-${randomBytes(6).toString('hex')}`;
}

/** The path of a file while it is written beside `path`; what dead processes left there is removed first. @throws the system's error */
export function workingPath(path: string): string {
  const folder = dirname(path);
  const parent = Directory.open(realpathSync(folder));
  sweepLeftovers(parent);
  parent.close();
  return join(folder, Buffer.from(workingName(Buffer.from(basename(path)).toString('latin1')), 'latin1').toString());
}

/**
 * Removes from a directory what has a working name of a process that has died. Links are never followed. What lives,
 * what another machine or process namespace wrote, and what cannot be removed stays.
 */
export function sweepLeftovers(parent: Directory): void {
  for (const bytes of readNames(parent)) {
    const name = bytes.toString('latin1');
    const mark = WORKING.exec(name)?.[1];
    if (mark === undefined || isMarkAlive(mark) !== false) continue;
    try {
      removeEntry(parent, name);
    } catch {
      // Somebody else's, who may not be let down by it: it costs space and nothing else.
    }
  }
}

/** A directory that may be written and not read has leftovers that nobody can find. */
function readNames(parent: Directory): Buffer[] {
  try {
    return readdirSync(parent.self, { encoding: 'buffer' });
  } catch {
    return [];
  }
}
