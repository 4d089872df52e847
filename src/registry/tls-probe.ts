/** Finds out, after plain http got no answer, whether the port would have liked TLS. */

/** How long the handshake may take, in milliseconds. */
const PROBE_MS = 2_000;

/** Whether a TLS handshake succeeds at the host and port of `url`. Nothing is sent over it, nobody is believed. */
export async function speaksTls(url: URL, signal: AbortSignal | undefined): Promise<boolean> {
  const { connect } = await import('node:tls');
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(url.port || 80), rejectUnauthorized: false, timeout: PROBE_MS });
    const end = (speaks: boolean): void => {
      signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(speaks);
    };
    const onAbort = (): void => end(false);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('secureConnect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
    socket.on('error', () => end(false));
    if (signal?.aborted === true) end(false);
  });
}
