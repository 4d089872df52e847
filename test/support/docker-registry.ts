/** Debian's docker-registry on a free port, its storage in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findTool } from './tools.js';

/** What may be different from a plain, open, writable registry. Values go into the configuration as they are. */
export interface DockerRegistryOptions {
  /** A htpasswd file (bcrypt) makes it ask for Basic. */
  readonly htpasswd?: string | undefined;
  /** Certificate and key files make it speak TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
  /** Token authentication. */
  readonly token?:
    | { readonly realm: string; readonly service: string; readonly issuer: string; readonly rootcertbundle: string }
    | undefined;
  readonly readOnly?: boolean | undefined;
  /** Allows DELETE. Default true. */
  readonly deletes?: boolean | undefined;
  /** An existing storage folder, to serve what another instance stored. */
  readonly storage?: string | undefined;
}

/** A running registry. */
export interface DockerRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** The storage folder. */
  readonly storage: string;
  /** What it has logged so far (its access log is on). */
  log(): string;
  stop(): Promise<void>;
}

/** Starts a registry; `folder` takes its configuration and, unless given, its storage. The caller stops it. */
export async function startDockerRegistry(
  folder: string,
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const tool = findTool('docker-registry');
  if (tool === undefined) throw new Error('docker-registry is not installed');
  // The port is free when it is chosen, and may be gone a moment later: then another one is tried.
  for (let attempt = 0; ; attempt++) {
    const port = await freePort();
    const storage = options.storage ?? join(folder, 'storage');
    const config = join(folder, `registry-${port}.yml`);
    writeFileSync(config, JSON.stringify(configuration(port, storage, options)));
    // The log goes to a file: a pipe that nobody empties (a test that waits for a tool) would stop the registry.
    const logFile = join(folder, `registry-${port}.log`);
    const output = openSync(logFile, 'w');
    const child = spawn(tool, ['serve', config], { stdio: ['ignore', output, output] });
    closeSync(output);
    const log = (): string => readFileSync(logFile, 'utf8');
    if (await listens(child, port)) return { host: `127.0.0.1:${port}`, storage, log, stop: () => stop(child) };
    await stop(child);
    if (attempt >= 4) throw new Error(`docker-registry did not start:\n${log()}`);
  }
}

function configuration(port: number, storage: string, options: DockerRegistryOptions): unknown {
  return {
    version: 0.1,
    log: { level: 'info' },
    storage: {
      filesystem: { rootdirectory: storage },
      delete: { enabled: options.deletes ?? true },
      maintenance: { uploadpurging: { enabled: false }, readonly: { enabled: options.readOnly ?? false } },
    },
    http: {
      addr: `127.0.0.1:${port}`,
      secret: 'only for tests',
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    },
    ...(options.htpasswd === undefined && options.token === undefined
      ? {}
      : {
          auth: {
            ...(options.htpasswd === undefined ? {} : { htpasswd: { realm: 'tests', path: options.htpasswd } }),
            ...(options.token === undefined ? {} : { token: options.token }),
          },
        }),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Resolves when something listens at the port, or with false when the registry ended before. */
async function listens(child: ChildProcess, port: number): Promise<boolean> {
  let ended = false;
  child.once('exit', () => {
    ended = true;
  });
  child.once('error', () => {
    ended = true;
  });
  while (!ended) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return true;
    await pause(10);
  }
  return false;
}

function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('close', () => resolve());
    child.kill('SIGKILL');
  });
}
