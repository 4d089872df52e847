/** What a directory hands down to all that is made in it, and how that is stopped: the image says what its files have. */
import { chmodSync, chownSync, statSync } from 'node:fs';
import type { Directory } from '../io/directory.js';
import { loadNative } from '../io/native.js';

const SETGID = 0o2000;
/** What is made in a directory with a default ACL has an access ACL, and in turn the default one if it is a directory. */
const ACLS = ['system.posix_acl_access', 'system.posix_acl_default'].map((name) => Buffer.from(name));

/**
 * Keeps a directory from handing down a group that is not this process's, the setgid bit, and a default ACL; what it
 * got that way itself it loses. Where it is somebody else's, and this process is not root, it stays as it is.
 *
 * @returns a function that gives the directory back what it had
 */
export function disinherit(directory: Directory): () => void {
  const { uid, gid, mode } = statSync(directory.self);
  const own = process.getegid?.() ?? gid;
  // `/proc/self/fd/N` is a link, and these calls take the link itself; with a dot behind it is the directory.
  const path = `${directory.self}/.`;
  const acls = ACLS.flatMap((name) => {
    const value = quietly(() => loadNative()?.getXattr(path, name));
    return value === undefined ? [] : [{ name, value }];
  });
  for (const { name } of acls) quietly(() => loadNative()?.removeXattr(path, name));
  const grouped = gid !== own || (mode & SETGID) !== 0;
  if (grouped) {
    quietly(() => chownSync(directory.self, uid, own));
    quietly(() => chmodSync(directory.self, mode & 0o7777 & ~SETGID));
  }
  return () => {
    if (grouped) {
      quietly(() => chownSync(directory.self, uid, gid));
      quietly(() => chmodSync(directory.self, mode & 0o7777));
    }
    for (const { name, value } of acls) quietly(() => loadNative()?.setXattr(path, name, value));
  };
}

/** Somebody else's directory, or a file system without ACLs. */
function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
