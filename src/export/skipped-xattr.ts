/** Which extended attributes of a layer are never written, and how that is said. */
import type { CallOptions } from '../content/content.js';
import { warn } from '../progress.js';
import type { InodeType } from '../rootfs/tree.js';
import { countEntries } from './count-entries.js';

const NAMES: ReadonlySet<string> = new Set(['security.selinux']);
const PREFIXES: readonly string[] = ['trusted.overlay.', 'user.overlay.'];
const NAMESPACES: ReadonlySet<string> = new Set(['user', 'trusted', 'security', 'system']);
const SYSTEM: ReadonlySet<string> = new Set(['system.posix_acl_access', 'system.posix_acl_default']);
/** ACLs as text, which the tar reader gives as attributes; their names of users mean nothing outside the image. */
const ACL_TEXTS = 'SCHILY.acl.';
/** Linux's XATTR_NAME_MAX. */
const MAX_NAME_BYTES = 255;
const SHOWN_BYTES = 40;

/**
 * The name or pattern under which an attribute is skipped, or `undefined` for one that is kept.
 *
 * Labels belong to the machine's own policy (`security.selinux`); overlayfs would obey `trusted.overlay.*` and
 * `user.overlay.*` as its own wherever the tree becomes one of its layers. What no Linux file system can hold is
 * skipped as other tools do: names outside the kernel's four namespaces (layers made on macOS bring `com.apple.*`), names
 * that are too long or have nothing after their namespace, what `system.` has besides ACLs, ACLs where there can be none,
 * and `user.` attributes of anything but files and directories. So are ACLs that an archive has as text.
 *
 * @param type What bears the attribute.
 */
export function skippedXattr(name: string, type: InodeType): string | undefined {
  if (NAMES.has(name)) return name;
  const prefix = PREFIXES.find((start) => name.startsWith(start));
  if (prefix !== undefined) return `${prefix}*`;
  const dot = name.indexOf('.');
  const namespace = dot === -1 ? name : name.slice(0, dot);
  if (name.length > MAX_NAME_BYTES) return `${name.slice(0, SHOWN_BYTES)}... (${name.length} bytes)`;
  if (dot === -1 || dot === name.length - 1 || name.startsWith(ACL_TEXTS)) return name;
  if (!NAMESPACES.has(namespace)) return `${namespace}.*`;
  if (namespace === 'system' && !SYSTEM.has(name)) return name;
  // the kernel has ACLs of everything but links, and hands them down from directories alone
  if (namespace === 'system' && (name.endsWith('_default') ? type !== 'directory' : type === 'symlink')) {
    return `${name} (${type})`;
  }
  return namespace === 'user' && type !== 'file' && type !== 'directory' ? `user.* (${type})` : undefined;
}

/** Counts an entry under each name or pattern that is skipped of it, however many attributes are. */
export function countSkipped(counts: Map<string, number>, ofEntry: ReadonlySet<string> | undefined): void {
  for (const name of ofEntry ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** An image may have as many names as it likes, and nobody reads a million lines: all of them are in the result. */
const MAX_WARNINGS = 20;

/** Warns of what was skipped: once for each name or pattern, whatever the form is, and once for all beyond the first. */
export function warnOfSkipped(
  skipped: Readonly<Record<string, number>>,
  { onProgress }: Pick<CallOptions, 'onProgress'>,
): void {
  const all = Object.entries(skipped);
  const messages = all
    .slice(0, MAX_WARNINGS)
    .map(([name, entries]) => `the extended attribute ${name} of ${countEntries(entries)} is never written`);
  if (all.length > MAX_WARNINGS) {
    messages.push(`extended attributes of ${all.length - MAX_WARNINGS} other names are never written either`);
  }
  for (const message of messages) warn(onProgress, message);
}
