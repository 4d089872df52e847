/** Writing data: waits for slow readers; a reader that went away (`| head`) ends the command quietly. */
import { systemErrorCode, wrapSystemError } from '../index.js';

let watched = false;

/**
 * Writes to stdout and resolves when the system has taken it. Exits with 141, as a shell expects, on a closed pipe.
 *
 * @throws RootfsError `ERR_NO_SPACE`, `ERR_FILESYSTEM`
 */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  if (!watched) {
    watched = true;
    // Each write hears of its own failure; without a listener the stream would end the process besides.
    process.stdout.on('error', () => {});
  }
  try {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    if (systemErrorCode(error) === 'EPIPE') process.exit(141);
    throw wrapSystemError(error, 'stdout');
  }
}
