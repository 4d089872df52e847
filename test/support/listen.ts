/** Servers on loopback that end with their test. */
import type { Server } from 'node:net';
import { listen as open } from '../../src/testing/listen.js';
import type { Ends } from './at-end.js';

/** Opens `server` on a port that the system chooses. @returns host and port */
export async function listen(t: Ends, server: Server): Promise<string> {
  const { port, close } = await open(server);
  t.after(close);
  return `127.0.0.1:${port}`;
}
