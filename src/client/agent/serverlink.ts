/** Opens the connection to the server: TLS 1.3 with this user's own certificate, and only to the server whose key is pinned. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { fingerprintOf } from '../../protocol/certificate.js';
import type { Identity } from '../../protocol/certificate.js';
import type { Clock } from '../../protocol/clock.js';
import { Connection } from '../../protocol/connection.js';
import { ParleyError } from '../../protocol/errors.js';
import { makeHello } from '../../protocol/hello.js';
import type { KeyFingerprint } from '../../protocol/values.js';
import { linkTlsOptions, provenKey } from '../../p2p/link.js';
import { keyChanged } from '../../p2p/pins.js';
import type { Pins } from '../../p2p/pins.js';
import { formatAddress } from './address.js';
import type { Address } from './address.js';

/** Milliseconds for TCP, TLS and hellos together: far more than a slow network needs, less than a person waits. */
const CONNECT_DEADLINE_MS = 10_000;

export interface ServerLinkOptions {
  readonly address: Address;
  readonly identity: Identity;
  readonly pins: Pins;
  /** The server's key must be this one, whatever is pinned; it is pinned then. */
  readonly fingerprint?: KeyFingerprint | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onEvent: (event: unknown) => void;
  /** Sets up what is served to the server. */
  readonly prepare: (connection: Connection) => void;
}

/**
 * A connection to the server after the hellos, its key pinned.
 * @throws ParleyError SERVER_UNREACHABLE, VERSION_MISMATCH, CANCELLED; KEY_CHANGED, before anything was sent
 */
export async function connectServer(options: ServerLinkOptions): Promise<Connection> {
  const deadline = new AbortController();
  const cancelDeadline = options.clock.after(CONNECT_DEADLINE_MS, () => deadline.abort());
  const late = AbortSignal.any([options.signal, deadline.signal]);
  let socket: TLSSocket | undefined;
  let connection: Connection | undefined;
  const stop = (): void => {
    socket?.destroy();
    connection?.destroy();
  };
  late.addEventListener('abort', stop, { once: true });
  try {
    socket = await secured(options, late);
    const key = serverKey(socket);
    const verified = checkKey(options, key);
    connection = new Connection(socket, {
      hello: makeHello('client'),
      end: 'dialer',
      clock: options.clock,
      checkHello: ({ role }) => {
        if (role !== 'server') throw new ParleyError('PROTOCOL_ERROR', { reason: `it is a ${role}, not a server` });
      },
      lost: (reason) => unreachable(options.address, reason),
      onEvent: options.onEvent,
    });
    options.prepare(connection);
    await connection.ready;
    await pinKey(options, key, verified);
    return connection;
  } catch (thrown) {
    stop();
    if (options.signal.aborted) throw new ParleyError('CANCELLED', {}, { cause: thrown });
    if (late.aborted) throw unreachable(options.address, `no answer within ${CONNECT_DEADLINE_MS / 1000} s`);
    if (thrown instanceof ParleyError && thrown.code !== 'PROTOCOL_ERROR') throw thrown;
    throw unreachable(options.address, reasonOf(thrown), thrown);
  } finally {
    cancelDeadline();
    late.removeEventListener('abort', stop);
  }
}

export function unreachable(address: Address, reason: string, cause?: unknown): ParleyError {
  return new ParleyError('SERVER_UNREACHABLE', { server: formatAddress(address), reason }, { cause });
}

async function secured({ address, identity }: ServerLinkOptions, signal: AbortSignal): Promise<TLSSocket> {
  signal.throwIfAborted();
  const socket = connect({
    host: address.host,
    port: address.port,
    ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
    ...linkTlsOptions(identity),
  });
  socket.setNoDelay(true);
  const abort = (): void => void socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('it closed the connection')));
    });
    return socket;
  } catch (thrown) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw thrown;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function serverKey(socket: TLSSocket): string {
  const key = provenKey(socket);
  if (key === undefined) throw new ParleyError('PROTOCOL_ERROR', { reason: 'it showed no key' });
  return key;
}

/** Whether the key is known to be right, not only the first one seen. */
function checkKey({ address, pins, fingerprint }: ServerLinkOptions, key: string): boolean {
  const name = formatAddress(address);
  if (fingerprint !== undefined) {
    if (fingerprintOf(key) !== fingerprint) throw keyChanged('server', name);
    return true;
  }
  if (pins.check('server', name, key) === 'changed') throw keyChanged('server', name);
  return false;
}

async function pinKey({ address, pins }: ServerLinkOptions, key: string, verified: boolean): Promise<void> {
  const name = formatAddress(address);
  // A fingerprint given by the user outweighs what was pinned before.
  if (verified && pins.check('server', name, key) === 'changed') await pins.forget('server', name);
  await pins.pin('server', name, key, { verified });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it broke the connection',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'its name cannot be looked up just now',
  EHOSTUNREACH: 'no way to that host',
  ENETUNREACH: 'no way to that network',
  ETIMEDOUT: 'no answer',
  EPROTO: 'it does not speak TLS 1.3',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS',
};

function reasonOf(thrown: unknown): string {
  if (thrown instanceof ParleyError) return String(thrown.details['reason'] ?? thrown.message);
  if (!(thrown instanceof Error)) return 'it failed';
  const code = 'code' in thrown ? String(thrown.code) : '';
  return REASONS[code] ?? (thrown.message === '' ? code : thrown.message);
}
