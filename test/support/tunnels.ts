/** A proxy whose tunnels all end at one registry, whatever host is asked for. */
import type { IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';

/** Opens them for `server`; each request for one is put into the list that comes back. */
export function tunnelsTo(server: Server, registry: { readonly host: string }): readonly IncomingMessage[] {
  const seen: IncomingMessage[] = [];
  server.on('connect', (request, socket) => {
    seen.push(request);
    const [host = '', port = ''] = registry.host.split(':');
    const out = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      out.pipe(socket).pipe(out);
    });
    out.on('error', () => socket.destroy());
    socket.on('error', () => out.destroy());
  });
  return seen;
}
