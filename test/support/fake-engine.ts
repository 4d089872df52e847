/** Something that answers like a Docker Engine, on a socket in a folder of its own. */
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { tempDir } from './temp-dir.js';

/** Starts one. Pings are answered, unless `ping` does. @returns what `DOCKER_HOST` is to be */
export async function fakeEngine(t: TestContext, listener: RequestListener, ping?: RequestListener): Promise<string> {
  const path = join(tempDir(t), 'engine.sock');
  const server = createServer((request, response) => {
    if (request.url === '/_ping') (ping ?? ((_, answer) => answer.end('OK')))(request, response);
    else listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `unix://${path}`;
}
