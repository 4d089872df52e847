/** Standard output by its other names. */

/**
 * A place that is written to, with standard output as `-` where it was named by a file of the system: the bytes go to
 * what stdout is then, a file of somebody's own too, which is neither replaced nor cut.
 *
 * @param place A path, or `transport:path[:name]` of an archive.
 */
export function stdoutPlace(place: string): string {
  return place.replace(/^((?:oci|docker)-archive:)?\/(?:dev\/stdout|(?:dev|proc\/self)\/fd\/1)(?=:|$)/, '$1-');
}
