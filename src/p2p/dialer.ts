/** Opens direct links to peers that the server introduced (R8). */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { sameKey } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import type { Introduction } from '../protocol/commands/server/introduce.js';
import { systemClock } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import { Connection } from '../protocol/connection.js';
import { ParleyError } from '../protocol/errors.js';
import { makeHello } from '../protocol/hello.js';
import { Landing } from '../protocol/landing.js';
import { LINK_DEADLINE_MS, LINK_PAUSE_ABOVE_BYTES, linkLost, linkTlsOptions, provenKey } from './link.js';
import type { DialledLink, PeerLink } from './link.js';
import { keyChanged } from './pins.js';
import type { Pins } from './pins.js';

export interface IntroducedDial {
  readonly identity: Identity;
  /** Where the server sees the peer: an IP address and a port. */
  readonly host: string;
  readonly port: number;
  readonly introduction: Introduction;
  /** Sets up what this end serves: the other end may call as soon as it has accepted the link. */
  readonly prepare?: (connection: Connection) => void;
  readonly signal?: AbortSignal | undefined;
  /** For all of it; default 10 s. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

export interface DialOptions extends IntroducedDial {
  readonly pins: Pins;
}

/** What `dialIntroduced` does, here or in another thread. */
export type Dial<L> = (options: IntroducedDial) => Promise<L>;

/**
 * A link to the introduced peer, once the peer has accepted it; a key seen for the first time is pinned.
 * @throws ParleyError KEY_CHANGED when another key is pinned, before anything is dialled; PEER_UNREACHABLE with the reason;
 * DISK_FULL; CANCELLED
 */
export function dialPeer(options: DialOptions): Promise<PeerLink> {
  return dialPinned(options, dialIntroduced);
}

/** As `dialPeer`, over a link that `dial` opens. */
export async function dialPinned<L extends DialledLink>(options: DialOptions, dial: Dial<L>): Promise<L> {
  const { pins, ...introduced } = options;
  const { peer, publicKey } = options.introduction;
  if (pins.check('peer', peer, publicKey) === 'changed') throw keyChanged('peer', peer);
  const link = await dial(introduced);
  try {
    await pins.pin('peer', peer, publicKey);
    if (options.signal?.aborted === true) throw new ParleyError('CANCELLED');
    return link;
  } catch (thrown) {
    link.connection.destroy();
    throw thrown;
  }
}

/**
 * A link to whoever has the introduced key and has accepted it. Pins are not looked at.
 * @throws ParleyError PEER_UNREACHABLE with the reason; CANCELLED
 */
export async function dialIntroduced(options: IntroducedDial): Promise<PeerLink> {
  const { id, peer, publicKey, purpose } = options.introduction;
  const lost = linkLost(peer);
  const late = new AbortController();
  const timeoutMs = options.timeoutMs ?? LINK_DEADLINE_MS;
  const cancelTimer = (options.clock ?? systemClock).after(timeoutMs, () =>
    late.abort(lost(`no answer within ${timeoutMs / 1000} s`)),
  );
  const signal = options.signal === undefined ? late.signal : AbortSignal.any([late.signal, options.signal]);
  try {
    const landing = new Landing();
    const socket = await secured(options, landing, signal);
    const connection = await greeted(socket, options, landing, signal);
    return { id, peer, publicKey, purpose, connection, bytesReceived: () => socket.bytesRead };
  } catch (thrown) {
    if (options.signal?.aborted === true) throw new ParleyError('CANCELLED', {}, { cause: thrown });
    const told =
      thrown instanceof ParleyError && thrown.code === 'PEER_UNREACHABLE' ? thrown.details['reason'] : undefined;
    const reason = told ?? (thrown instanceof Error ? thrown.message : 'it could not be dialled');
    const address = `${isIP(options.host) === 6 ? `[${options.host}]` : options.host}:${options.port}`;
    throw new ParleyError('PEER_UNREACHABLE', { user: peer, reason, address }, { cause: thrown });
  } finally {
    cancelTimer();
  }
}

/** A TLS socket to whoever has the introduced key; nothing was sent over it yet. */
async function secured(options: IntroducedDial, { onread }: Landing, signal: AbortSignal): Promise<TLSSocket> {
  signal.throwIfAborted();
  // Only addresses: a name would be looked up, and tell others whom we are about to call.
  if (isIP(options.host) === 0) throw new Error('its address is not an IP address');
  // `onread` is documented for TLS, too, and missing from its types only.
  const settings: ConnectionOptions & Pick<Landing, 'onread'> = { ...linkTlsOptions(options.identity), onread };
  const socket = connect({ ...settings, host: options.host, port: options.port });
  socket.setNoDelay(true);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('it closed the link')));
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    const key = provenKey(socket);
    if (key === undefined || !sameKey(key, options.introduction.publicKey)) {
      throw new Error('another key than the introduced one answers at its address');
    }
    return socket;
  } catch (thrown) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw thrown;
  }
}

/** The connection, once the other end has judged our certificate and hello: only its own hello says so. */
async function greeted(
  socket: TLSSocket,
  options: IntroducedDial,
  landing: Landing,
  signal: AbortSignal,
): Promise<Connection> {
  const { id, purpose, peer } = options.introduction;
  const connection = new Connection(socket, {
    hello: makeHello('peer', { introduction: id, purpose }),
    end: 'dialer',
    landing,
    pauseAboveBytes: LINK_PAUSE_ABOVE_BYTES,
    lost: linkLost(peer),
    ...(options.clock === undefined ? {} : { clock: options.clock }),
  });
  options.prepare?.(connection);
  const stop = (): void => connection.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await connection.ready;
    return connection;
  } catch (thrown) {
    connection.destroy();
    throw signal.aborted ? signal.reason : thrown;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
