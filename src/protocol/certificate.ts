/**
 * Keys and the self-signed certificates that carry them into TLS. Trust is in the key alone: names and dates in a
 * certificate mean nothing here. This file opens no files and no sockets.
 */
import { createHash, createPrivateKey, createPublicKey, randomBytes, timingSafeEqual, webcrypto } from 'node:crypto';
import { X509Certificate } from 'node:crypto';
import { ParleyError } from './errors.js';
import { keyFingerprint } from './values.js';
import type { KeyFingerprint } from './values.js';

/** A key pair and its self-signed certificate: what a TLS end needs to show who it is. `privateKeyPem` is a secret. */
export interface Identity {
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
  /** X.509, PEM. */
  readonly certificatePem: string;
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
  readonly fingerprint: KeyFingerprint;
}

/** Works in Node 20's WebCrypto without a warning, and every TLS 1.3 stack has it. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Years until the certificate runs out: keys are pinned, so running out would only break what works. */
const VALID_YEARS = 50;
const SERIAL_BYTES = 16;
const FINGERPRINT_PREFIX = 'SHA256:';

/** A new ECDSA P-256 key with its self-signed certificate, valid from a day ago (clocks differ) for 50 years. */
export async function makeIdentity(commonName: string): Promise<Identity> {
  // Loaded only here: a process that has its key already starts without them.
  await import('reflect-metadata');
  const { X509CertificateGenerator } = await import('@peculiar/x509');
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const notBefore = new Date(Date.now() - DAY_MS);
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + VALID_YEARS);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomSerial(),
      name: [{ CN: [commonName] }],
      notBefore,
      notAfter,
      keys,
      signingAlgorithm: ALGORITHM,
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  const privateKeyPem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  return identityFromPem(privateKeyPem, new X509Certificate(Buffer.from(certificate.rawData)).toString());
}

/** Positive, never zero, at most 20 octets: what RFC 5280 asks of a serial number. */
function randomSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x40, 0);
  return serial.toString('hex');
}

/**
 * The identity of a key and certificate in PEM.
 * @throws Error when either cannot be parsed or the certificate belongs to another key
 */
export function identityFromPem(privateKeyPem: string, certificatePem: string): Identity {
  const privateKey = createPrivateKey(privateKeyPem);
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64');
  if (!new X509Certificate(certificatePem).checkPrivateKey(privateKey)) {
    throw new Error('the certificate does not belong to the private key');
  }
  return { privateKeyPem, certificatePem, publicKey, fingerprint: fingerprintOf(publicKey) };
}

/** SHA-256 of a public key (SubjectPublicKeyInfo, DER, base64). */
export function fingerprintOf(publicKey: string): KeyFingerprint {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('base64') as KeyFingerprint;
}

/**
 * The public key (SubjectPublicKeyInfo, DER, base64) of a certificate, or of one in DER, as `getPeerCertificate(true).raw` gives it.
 * @throws ParleyError PROTOCOL_ERROR when it is no certificate
 */
export function publicKeyOf(certificate: X509Certificate | Buffer): string {
  try {
    const { publicKey } = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate);
    return publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  } catch (cause) {
    throw new ParleyError('PROTOCOL_ERROR', { reason: 'its certificate cannot be read' }, { cause });
  }
}

/** Whether two public keys (base64) are the same bytes; takes the same time wherever they differ. */
export function sameKey(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'base64'), Buffer.from(b, 'base64')];
  return left.length > 0 && left.length === right.length && timingSafeEqual(left, right);
}

/** As it is printed and read aloud: `SHA256:` and base64. */
export function formatFingerprint(fingerprint: KeyFingerprint): string {
  return `${FINGERPRINT_PREFIX}${fingerprint}`;
}

/**
 * Reads a fingerprint as people paste it: with or without `SHA256:`, with or without the padding `=`.
 * @throws ParleyError USAGE
 */
export function parseFingerprint(text: string): KeyFingerprint {
  const trimmed = text.trim();
  const bare = /^sha256:/i.test(trimmed) ? trimmed.slice(FINGERPRINT_PREFIX.length) : trimmed;
  const parsed = keyFingerprint.safeParse(bare.endsWith('=') ? bare : `${bare}=`);
  // The last character of 32 bytes in base64 has two spare bits: only one spelling is the fingerprint.
  if (parsed.success && Buffer.from(parsed.data, 'base64').toString('base64') === parsed.data) return parsed.data;
  throw new ParleyError('USAGE', {
    reason: 'a key fingerprint is SHA256: and 43 characters of base64; copy it from the line the server prints',
  });
}
