/** Certificates for loopback, made on the spot: self-signed, or issued by another one of these. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A certificate with its key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface CertificateOptions {
  /** Common name of the subject; not the issuer's. Default `rootfs-kit test`, self-signed `rootfs-kit test authority`. */
  readonly name?: string | undefined;
  /** Names and IPv4 addresses it is good for. Default `localhost` and `127.0.0.1`. */
  readonly hosts?: readonly string[] | undefined;
  /** Who signs it. Default: itself. */
  readonly issuer?: Certificate | undefined;
  /** It ended a day ago. */
  readonly expired?: boolean | undefined;
}

const issuers = new Map<string, { readonly name: string; readonly key: KeyObject }>();

function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.from(body.length.toString(16).padStart(body.length > 255 ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

const sequence = (...content: readonly Uint8Array[]): Buffer => der(0x30, ...content);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));

function distinguishedName(name: string): Buffer {
  return sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));
}

function generalizedTime(time: number): Buffer {
  const text = new Date(time).toISOString().replace(/[-:T]/g, '').replace(/\..*/, 'Z');
  return der(0x18, Buffer.from(text));
}

function alternativeName(host: string): Buffer {
  const address = /^\d+\.\d+\.\d+\.\d+$/.test(host);
  return address ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
}

/**
 * Makes a certificate (ECDSA P-256, X.509 v3, valid from yesterday for ten years). A self-signed one may issue others.
 *
 * @throws Error when `issuer` was not made by this function in this process.
 */
export function createCertificate(options: CertificateOptions = {}): Certificate {
  const name = options.name ?? (options.issuer === undefined ? 'rootfs-kit test authority' : 'rootfs-kit test');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = options.issuer === undefined ? { name, key: privateKey } : issuers.get(options.issuer.cert);
  if (issuer === undefined)
    throw new Error('certificate: the issuer was not made here; make it with createCertificate');
  const day = 86_400_000;
  const from = Date.now() - (options.expired === true ? 3 * day : day);
  const until = options.expired === true ? Date.now() - day : from + 3650 * day;
  const hosts = options.hosts ?? ['localhost', '127.0.0.1'];
  // the leading byte keeps the number positive
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ECDSA_SHA256,
    distinguishedName(issuer.name),
    sequence(generalizedTime(from), generalizedTime(until)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        extension('551d13', true, options.issuer === undefined ? sequence(der(0x01, Buffer.from([0xff]))) : sequence()),
        extension('551d11', false, sequence(...hosts.map(alternativeName))),
      ),
    ),
  );
  const signature = sign('sha256', body, issuer.key);
  const bytes = sequence(body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature));
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  const cert = `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  issuers.set(cert, { name, key: privateKey });
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
}
