/** The guards of the tar reader: each a number with a reason, each an option. */
import { RootfsError } from '../errors.js';

/** How much a tar archive may ask of its reader. What exceeds one of them is `ERR_LIMIT_EXCEEDED`. */
export interface TarLimits {
  /** Members in one archive. Default 2,000,000: ten times the largest honest layers. */
  readonly maxEntries: number;
  /** Bytes of a name or a link target. Default 4,096: Linux's PATH_MAX. */
  readonly maxPathBytes: number;
  /** Bytes of the extension headers (PAX, GNU long name) of one member. Default 1,048,576, the limit of Go's reader. */
  readonly maxPaxBytes: number;
  /**
   * Bytes of all extension headers in one archive, with their blocks of 512: they cost time, whatever becomes of what
   * they say. Default 2,147,483,648 (2 GiB): 1 KiB for each of two million members.
   */
  readonly maxExtensionBytes: number;
  /** Extended attributes of one member. Default 1,024. */
  readonly maxXattrs: number;
  /** Bytes of an extended attribute's value. Default 65,536: Linux's XATTR_SIZE_MAX. */
  readonly maxXattrBytes: number;
  /** Runs of data of all sparse files in one archive. Default 1,000,000. */
  readonly maxExtents: number;
  /**
   * Bytes of all names, link targets and extended attributes in one archive; each attribute counts 128 bytes more, each
   * run of sparse data 64: what holding it takes. Attributes of global headers count where they change after a member had
   * them, and 32 bytes each for every member that has them. Default 536,870,912 (512 MiB).
   */
  readonly maxMetadataBytes: number;
}

/** The defaults of `TarLimits`. */
export const TAR_LIMITS: TarLimits = Object.freeze({
  maxEntries: 2_000_000,
  maxPathBytes: 4_096,
  maxPaxBytes: 1_048_576,
  maxExtensionBytes: 2_147_483_648,
  maxXattrs: 1_024,
  maxXattrBytes: 65_536,
  maxExtents: 1_000_000,
  maxMetadataBytes: 536_870_912,
});

/** Fills up limits of an archive with the defaults. @throws RootfsError as `fillLimits` */
export function tarLimits(options: GivenLimits<keyof TarLimits>): TarLimits {
  return fillLimits(TAR_LIMITS, options);
}

/** Limits as callers give them: any may be left out. */
export type GivenLimits<Name extends string> = { readonly [Key in Name]?: number | undefined };

/**
 * Fills up limits with defaults, whose names are the ones that are looked at.
 *
 * @throws RootfsError `ERR_OPTION_INVALID` when one is neither a whole number of at least 0 nor Infinity
 */
export function fillLimits<Name extends string>(
  defaults: Readonly<Record<Name, number>>,
  options: GivenLimits<NoInfer<Name>>,
): Record<Name, number> {
  const limits: Record<Name, number> = { ...defaults };
  for (const key of Object.keys(defaults) as Name[]) {
    const value = options[key];
    if (value === undefined) continue;
    if (value !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(value) || value < 0)) {
      throw new RootfsError(
        'ERR_OPTION_INVALID',
        `${key}: expected a whole number of at least 0, found ${String(value)}`,
        {
          detail: { option: key, value: String(value) },
        },
      );
    }
    limits[key] = value;
  }
  return limits;
}
