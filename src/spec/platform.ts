/**
 * Platforms: what an image runs on.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md
 */

/** An operating system and a processor, in the words of the Go runtime (`linux`, `amd64`). */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly 'os.version'?: string | undefined;
  readonly 'os.features'?: readonly string[] | undefined;
  readonly variant?: string | undefined;
}
