/** Whom TLS trusts: Node's authorities, the system's, and those the user names. */
import { readFile } from 'node:fs/promises';
import { RootfsError, wrapSystemError } from '../errors.js';
import { readBounded } from './settings-file.js';

/** The bundles of the common distributions; the first that is there is the system's. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

// OpenSSL writes what its own trust settings stand beside as TRUSTED; Node reads both.
const CERTIFICATE = /-----BEGIN (TRUSTED )?CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END \1CERTIFICATE-----/g;

let system: Promise<readonly string[]> | undefined;

/** Whether a text holds a certificate that is whole: any other is passed over. */
export function holdsCertificate(pem: string): boolean {
  return pem.search(CERTIFICATE) >= 0;
}

/**
 * The PEM certificates of a file.
 *
 * @throws RootfsError `ERR_FILESYSTEM`, `ERR_PERMISSION`, `ERR_LIMIT_EXCEEDED` (over 4 MiB), and `ERR_TLS` for a file that
 *   holds no certificate
 */
export async function readCertificates(path: string, subject: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readBounded(path);
  } catch (error) {
    throw wrapSystemError(error, `${subject} ${path}`, 'name a readable PEM file');
  }
  const found = text.match(CERTIFICATE);
  if (found === null) {
    throw new RootfsError('ERR_TLS', `${subject} ${path}: holds no PEM certificate; expected BEGIN CERTIFICATE lines`, {
      detail: { path },
    });
  }
  return found;
}

/**
 * Everything to trust, for `tls.connect`'s `ca`: the default authorities, those of SSL_CERT_FILE (in place of the
 * system's bundle), and `extra`. Each once.
 *
 * @throws RootfsError what `readCertificates` throws, for SSL_CERT_FILE
 */
export async function trustAnchors(extra: readonly string[]): Promise<string[]> {
  system ??= systemCertificates().catch((error: unknown) => {
    system = undefined;
    throw error;
  });
  // Both at once: a failure that came before it is waited for would be nobody's, and `system` empty again.
  const [usual, own] = await Promise.all([defaultCertificates(), system]);
  const all = [...usual, ...own, ...extra.flatMap((pem) => pem.match(CERTIFICATE) ?? [])];
  const seen = new Map(all.map((pem) => [pem.replace(/\s+/g, ''), pem]));
  return [...seen.values()];
}

async function defaultCertificates(): Promise<readonly string[]> {
  const tls = await import('node:tls');
  // Node 22.15 and later can tell what it trusts by default, NODE_EXTRA_CA_CERTS included.
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] };
  return getCACertificates?.('default') ?? tls.rootCertificates;
}

async function systemCertificates(): Promise<readonly string[]> {
  const extra = process.env['NODE_EXTRA_CA_CERTS'];
  const own =
    extra === undefined || extra === '' ? [] : await readCertificates(extra, 'NODE_EXTRA_CA_CERTS').catch(() => []);
  const named = process.env['SSL_CERT_FILE'];
  if (named !== undefined && named !== '') return [...own, ...(await readCertificates(named, 'SSL_CERT_FILE'))];
  for (const path of SYSTEM_BUNDLES) {
    try {
      const text = await readFile(path, 'utf8');
      return [...own, ...(text.match(CERTIFICATE) ?? [])];
    } catch {
      // not this distribution
    }
  }
  return own;
}
