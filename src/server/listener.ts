/** Accepts TLS 1.3 connections, no more than this process can bear, and keeps those without login from crowding out others (R19). */
import { constants } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { fingerprintOf, publicKeyOf } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';
import { LOGIN_DEADLINE_MS } from '../protocol/limits.js';
import { Handshakes } from './handshakes.js';
import type { ConnectionLimits } from './limits.js';
import type { Log } from './log.js';
import type { Origin, SessionKey } from './session.js';

/** Connections that the system may queue until they are accepted. */
const BACKLOG = 1_024;
/** How often it is written to the log that connections are refused. */
const REFUSAL_LOG_MS = 10_000;

/** A connection's place among those without login, until it has one. */
export interface Place {
  /** While true it is not taken away for a newcomer: its login is being decided. */
  deciding: boolean;
  /** Logged in: the place is free for another. */
  readonly settle: () => unknown;
}

export interface ListenerOptions {
  readonly identity: Identity;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Takes over a socket whose TLS stands. */
  readonly onSocket: (socket: TLSSocket, origin: Origin, place: Place) => void;
}

/** @throws ParleyError USAGE when the address cannot be listened on */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { host, port } = options;
  const server = createServer({ noDelay: true, pauseOnConnect: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: BACKLOG }, resolve);
    });
  } catch (cause) {
    throw new ParleyError('USAGE', { reason: cannotListen(formatAddress(host, port), cause) }, { cause });
  }
  return new Listener(server, options);
}

/** Why an address cannot be listened on. */
export function cannotListen(address: string, cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `cannot listen on ${address}: another program does; stop it, or give another port (0 picks a free one)`;
    case 'EACCES':
      return `cannot listen on ${address}: no permission; take a port of 1024 or above`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `cannot listen on ${address}: that is no address of this machine; give one with --host`;
    default:
      return `cannot listen on ${address}: ${(cause as Error).message}`;
  }
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An IPv4 address that came in as IPv6 is shown, counted and handed out as IPv4. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
}

interface Stranger extends Place {
  readonly socket: Socket;
  readonly address: string;
  cancelDeadline: (() => void) | undefined;
  /** Lets another handshake begin. */
  endHandshake: () => void;
}

export class Listener {
  readonly host: string;
  readonly port: number;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();
  /** Connections without login by address, the oldest first. */
  readonly #strangers = new Map<string, Set<Stranger>>();
  #strangerCount = 0;
  /** Strangers whose TLS handshake goes on, by the remote end as TLS names it. */
  readonly #handshaking = new Map<string, Stranger>();
  readonly #handshakes: Handshakes;
  /** Since it was last written to the log. */
  #refused = 0;
  #refusedInAll = 0;
  #cancelRefusalLog: (() => void) | undefined;

  constructor(server: Server, options: ListenerOptions) {
    this.#options = options;
    this.#server = server;
    this.#handshakes = new Handshakes(options.clock);
    const address = server.address() as AddressInfo;
    this.host = address.address;
    this.port = address.port;
    const { identity } = options;
    this.#tls = createTlsServer({
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      // A resumed TLS session would hide the client's certificate.
      secureOptions: constants.SSL_OP_NO_TICKET,
      // The key in it is the session's key; who signed it does not matter.
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: LOGIN_DEADLINE_MS,
    });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on('connection', (socket) => this.#admit(socket));
    // A refused accept (no descriptors left) passes; those that stand go on.
    server.on('error', (error) => options.log.warn({ err: error }, 'a connection could not be accepted'));
  }

  /** Connections that stand now. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Connections that were refused because there were too many. */
  get refused(): number {
    return this.#refusedInAll;
  }

  /** Accepts no more. Connections without login end; the others belong to who took them over. Idempotent. */
  close(): void {
    this.#cancelRefusalLog?.();
    if (this.#server.listening) this.#server.close();
    for (const each of this.#strangers.values()) for (const { socket } of each) socket.destroy();
  }

  /** Ends every connection that is left. */
  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #admit(socket: Socket): void {
    socket.on('error', () => undefined); // It closes, and that is all there is to do.
    const address = plainAddress(socket.remoteAddress);
    if (address === '' || !this.#makeRoom(address)) {
      this.#refuse(socket);
      return;
    }
    const stranger = this.#addStranger(socket, address);
    const name = remoteName(socket);
    this.#handshaking.set(name, stranger);
    this.#sockets.add(socket);
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    socket.once('close', () => {
      stranger.settle();
      stranger.cancelDeadline?.();
      stranger.endHandshake();
      if (this.#handshaking.get(name) === stranger) this.#handshaking.delete(name);
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
    stranger.endHandshake = this.#handshakes.enter(() => this.#tls.emit('connection', socket));
  }

  #addStranger(socket: Socket, address: string): Stranger {
    const stranger: Stranger = {
      socket,
      address,
      deciding: false,
      cancelDeadline: this.#options.clock.after(LOGIN_DEADLINE_MS, () => socket.destroy()),
      endHandshake: () => undefined,
      settle: () => this.#forgetStranger(stranger),
    };
    const fromThere = this.#strangers.get(address) ?? new Set();
    this.#strangers.set(address, fromThere.add(stranger));
    this.#strangerCount += 1;
    return stranger;
  }

  #forgetStranger(stranger: Stranger): void {
    const fromThere = this.#strangers.get(stranger.address);
    if (fromThere?.delete(stranger) !== true) return;
    this.#strangerCount -= 1;
    if (fromThere.size === 0) this.#strangers.delete(stranger.address);
  }

  /** Whether one more from this address can stay; a stranger that has been idle for longest may have to go for it. */
  #makeRoom(address: string): boolean {
    const { total, perAddress, strangers, strangersPerAddress } = this.#options.limits;
    const fromThere = this.#strangers.get(address);
    const here = this.#perAddress.get(address) ?? 0;
    if ((fromThere?.size ?? 0) >= strangersPerAddress || here >= perAddress) return dismissOne(fromThere);
    if (this.#strangerCount >= strangers || this.#sockets.size >= total) return dismissOne(this.#busiest());
    return true;
  }

  /** The strangers of the address that has most of them. */
  #busiest(): Set<Stranger> | undefined {
    let most: Set<Stranger> | undefined;
    for (const each of this.#strangers.values()) if (most === undefined || each.size > most.size) most = each;
    return most;
  }

  #refuse(socket: Socket): void {
    socket.destroy();
    this.#refused += 1;
    this.#refusedInAll += 1;
    this.#cancelRefusalLog ??= this.#options.clock.after(REFUSAL_LOG_MS, () => {
      this.#options.log.warn({ refused: this.#refused }, 'connections were refused: there are too many');
      this.#refused = 0;
      this.#cancelRefusalLog = undefined;
    });
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const name = remoteName(socket);
    const stranger = this.#handshaking.get(name);
    this.#handshaking.delete(name);
    if (stranger === undefined || socket.isSessionReused()) {
      socket.destroy();
      return;
    }
    stranger.endHandshake();
    // From here on whoever takes it over sets the time.
    stranger.cancelDeadline?.();
    stranger.cancelDeadline = undefined;
    const origin: Origin = {
      address: stranger.address,
      localAddress: plainAddress(socket.localAddress),
      key: provenKey(socket),
    };
    this.#options.onSocket(socket, origin, stranger);
  }
}

/** Ends the one that came first among those whose login is not being decided. */
function dismissOne(strangers: Iterable<Stranger> = []): boolean {
  for (const stranger of strangers) {
    if (stranger.deciding) continue;
    stranger.settle();
    stranger.socket.destroy();
    return true;
  }
  return false;
}

function remoteName(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}

/** The key of the client's certificate, which the handshake has proved; undefined when there is none that can be read. */
function provenKey(socket: TLSSocket): SessionKey | undefined {
  // Null on a socket that is gone already, whatever the types say.
  const certificate = socket.getPeerX509Certificate() as X509Certificate | null | undefined;
  if (certificate === undefined || certificate === null) return undefined;
  try {
    const publicKey = publicKeyOf(certificate);
    return { publicKey, fingerprint: fingerprintOf(publicKey) };
  } catch {
    return undefined;
  }
}
