/** Connects to an advertised port and tells whose key answers there. Nothing is sent but the TLS handshake. */
import { constants } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { publicKeyOf } from '../protocol/certificate.js';
import { ParleyError } from '../protocol/errors.js';
import { PROBE_DEADLINE_MS } from './limits.js';

export type Probed =
  { readonly kind: 'answered'; readonly publicKey: string } | { readonly kind: 'unreachable'; readonly reason: string };

export type Probe = (host: string, port: number, signal: AbortSignal) => Promise<Probed>;

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens at that port',
  EHOSTUNREACH: 'there is no way to that address',
  ENETUNREACH: 'there is no way to that address',
  ETIMEDOUT: 'nothing answers there',
};

/** @throws ParleyError CANCELLED */
export const probePort: Probe = async (host, port, signal) => {
  const late = AbortSignal.timeout(PROBE_DEADLINE_MS);
  const socket = connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    // The certificate is self-signed: its key alone counts.
    rejectUnauthorized: false,
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  const stop = (): void => void socket.destroy(new Error('nothing answers there'));
  const either = AbortSignal.any([signal, late]);
  either.addEventListener('abort', stop, { once: true });
  try {
    if (either.aborted) stop();
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('it closed the link')));
    });
    // Null on a socket that is gone already, whatever the types say.
    const certificate = socket.getPeerX509Certificate() as X509Certificate | null | undefined;
    if (certificate === undefined || certificate === null)
      return { kind: 'unreachable', reason: 'no key is shown there' };
    return { kind: 'answered', publicKey: publicKeyOf(certificate.raw) };
  } catch (cause) {
    if (signal.aborted) throw new ParleyError('CANCELLED', {}, { cause });
    const code = String((cause as NodeJS.ErrnoException).code);
    return { kind: 'unreachable', reason: REASONS[code] ?? 'no TLS 1.3 end of a client answers there' };
  } finally {
    either.removeEventListener('abort', stop);
    socket.on('error', () => undefined);
    socket.destroy();
  }
};
