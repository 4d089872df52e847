/**
 * Folders of certificates, one a registry: `*.crt` are authorities, `*.cert` with `*.key` is who we are.
 *
 * @see https://docs.docker.com/engine/security/certificates/
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { RootfsError, systemErrorCode, wrapSystemError } from '../errors.js';
import type { TlsSettings } from './endpoint.js';
import { readNamedFile } from './settings-file.js';
import { holdsCertificate } from './trust-anchors.js';

/** What a folder of certificates says. */
export interface CertsFolder {
  readonly path: string;
  readonly tls: TlsSettings;
}

/**
 * Reads the first folder that is there, under each root in turn; a folder without certificates says nothing.
 *
 * @throws RootfsError `ERR_TLS` (a file that holds no PEM, a certificate without its key), `ERR_PERMISSION`,
 * `ERR_FILESYSTEM`; each names the path
 */
export async function findCerts(roots: readonly string[], host: string): Promise<CertsFolder | undefined> {
  for (const root of roots) {
    const path = join(root, host);
    const names = listFolder(path);
    if (names !== undefined) return await readCertsFolder(path, names);
  }
  return undefined;
}

/** Reads one folder; `undefined` when it is not there or holds no certificates. Throws as `findCerts`. */
export async function readCertsFolder(path: string, listed?: readonly string[]): Promise<CertsFolder | undefined> {
  const names = listed ?? listFolder(path) ?? [];
  const ca: string[] = [];
  for (const name of names.filter((each) => each.endsWith('.crt'))) {
    // A link to an authority that this machine does not have: distributions put such links there for their registries.
    if (existsSync(join(path, name))) ca.push(await readAuthority(join(path, name)));
  }
  // Where there are several pairs, the first by name is shown; the protocol has room for one.
  const certName = names.find((each) => each.endsWith('.cert'));
  for (const name of names.filter((each) => each.endsWith('.key'))) {
    if (!names.includes(name.replace(/\.key$/, '.cert'))) throw halfPair(join(path, name), '.cert');
  }
  if (certName === undefined) return ca.length === 0 ? undefined : { path, tls: { ca } };
  const keyName = certName.replace(/\.cert$/, '.key');
  if (!names.includes(keyName)) throw halfPair(join(path, certName), '.key');
  const pair = await readClientPair(join(path, certName), join(path, keyName));
  return { path, tls: { ...(ca.length === 0 ? {} : { ca }), ...pair } };
}

/** Reads a file of certificate authorities. @throws RootfsError `ERR_TLS`, `ERR_NOT_FOUND` and the system's */
export async function readAuthority(path: string, subject = 'the configuration'): Promise<string> {
  const pem = await readNamedFile(path, subject);
  if (!holdsCertificate(pem)) throw noPem(path, 'certificate');
  return pem;
}

/** Reads a client's certificate and its key, which may stand in one file. @throws RootfsError as `readAuthority` */
export async function readClientPair(
  certPath: string,
  keyPath: string = certPath,
): Promise<{ readonly cert: string; readonly key: string }> {
  const cert = await readAuthority(certPath);
  const key = keyPath === certPath ? cert : await readNamedFile(keyPath, 'the configuration');
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) throw noPem(keyPath, 'private key');
  return { cert, key };
}

function listFolder(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    const errno = systemErrorCode(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    // Root's own folder of certificates does not stop the others.
    if (errno === 'EACCES') return undefined;
    throw wrapSystemError(error, path);
  }
}

function noPem(path: string, what: string): RootfsError {
  return new RootfsError('ERR_TLS', `${path}: holds no ${what} in PEM form; convert it with openssl`, {
    detail: { path },
  });
}

function halfPair(path: string, missing: string): RootfsError {
  return new RootfsError(
    'ERR_TLS',
    `${path}: a client's certificate is a pair of files, and the ${missing} of the same name is missing; add it`,
    { detail: { path } },
  );
}
