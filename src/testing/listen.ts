/** Servers on loopback: open on a port that the system chooses, close with all their connections. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** An open port. */
export interface Listening {
  readonly port: number;
  /** Stops listening and breaks every connection. */
  close(): Promise<void>;
}

/** Opens `server` on 127.0.0.1. */
export async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // a client that goes away mid-answer is part of the game
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/**
 * A TCP server before a TLS server: what begins as TLS is handed on, anything else gets the 400 in plain text that
 * registries and nginx give to plain http on their TLS port.
 */
export function frontOf(tls: Server): Server {
  tls.on('tlsClientError', (_, socket: Socket) => socket.destroy());
  return createServer((socket) => {
    socket.once('data', (first: Buffer) => {
      socket.pause();
      if (first[0] === 0x16) {
        socket.unshift(first);
        tls.emit('connection', socket);
      } else {
        const text = 'Client sent an HTTP request to an HTTPS server.\n';
        socket.end(`HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
      }
    });
  });
}

/** A port of 127.0.0.1 on which nobody listens: it was open a moment ago and is closed. Connections are refused. */
export async function closedPort(): Promise<number> {
  const { port, close } = await listen(createServer());
  await close();
  return port;
}
