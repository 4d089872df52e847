/** Writing data: waits for slow readers; a reader that went away (`| head`) ends the command quietly. */
import { once } from 'node:events';

let watched = false;

/** Writes to stdout and resolves when the next write may follow. Exits with 141, as a shell expects, on a closed pipe. */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  if (!watched) {
    watched = true;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(141);
      throw error;
    });
  }
  if (!process.stdout.write(data)) await once(process.stdout, 'drain');
}
