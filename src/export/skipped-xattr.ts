/** Which extended attributes of a layer are never written. */

const NAMES: ReadonlySet<string> = new Set(['security.selinux', 'system.nfs4_acl']);
const PREFIXES: readonly string[] = ['trusted.overlay.', 'user.overlay.'];

/**
 * The name or prefix under which an attribute is skipped, or `undefined` for one that is kept.
 *
 * Labels belong to the machine's own policy (`security.selinux`, `system.nfs4_acl`); overlayfs would obey
 * `trusted.overlay.*` and `user.overlay.*` as its own wherever the tree becomes one of its layers.
 */
export function skippedXattr(name: string): string | undefined {
  if (NAMES.has(name)) return name;
  const prefix = PREFIXES.find((start) => name.startsWith(start));
  return prefix === undefined ? undefined : `${prefix}*`;
}
