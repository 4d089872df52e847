/** The home folder that the system knows of this user, whatever the environment says. */
import { userInfo } from 'node:os';

/**
 * The home folder of the user this process runs as, from the system's own records.
 *
 * A user without a record, as containers run under a number of their own, has `/`: what runtimes give such a user as
 * HOME. Node throws there, and nobody would get as far as naming a store or an auth file.
 */
export function systemHome(): string {
  try {
    return userInfo().homedir || '/';
  } catch {
    return '/';
  }
}
