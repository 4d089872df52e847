/** The corners of layer application, by name. */

/**
 * The corners an image may hold. `whiteouts`, `late-whiteouts` (behind entries of their layer), `opaque`, `symlinked-parents` (written through, and whiteouts below),
 * `dangling-parents`, `file-as-parent` (a file in the middle of a path), `type-changes`, `hardlinks`,
 * `link-before-target`, `missing-parents`, `duplicates`, `prefixes` (`./` and `/`), `bytes` (names that are not UTF-8),
 * `long-names`, `xattrs`, `owners`, `modes`, `times` (nanoseconds, before 1970), `devices`, `empty-layers`.
 */
export type Corner = (typeof CORNERS)[number];

/** All corners. */
export const CORNERS = [
  'whiteouts',
  'late-whiteouts',
  'opaque',
  'symlinked-parents',
  'dangling-parents',
  'file-as-parent',
  'type-changes',
  'hardlinks',
  'link-before-target',
  'missing-parents',
  'duplicates',
  'prefixes',
  'bytes',
  'long-names',
  'xattrs',
  'owners',
  'modes',
  'times',
  'devices',
  'empty-layers',
] as const;
