/** Accepts direct links, and only those that the server introduced: by this key, for this purpose, now, once (R8). */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import { sameKey } from '../protocol/certificate.js';
import type { Identity } from '../protocol/certificate.js';
import type { Introduction } from '../protocol/commands/server/introduce.js';
import { systemClock } from '../protocol/clock.js';
import type { Clock } from '../protocol/clock.js';
import { Connection } from '../protocol/connection.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { FULL_CAPS } from '../protocol/frame.js';
import { makeHello } from '../protocol/hello.js';
import type { Hello } from '../protocol/hello.js';
import { INTRODUCTION_TTL_MS } from '../protocol/limits.js';
import {
  CAPS_BEFORE_HELLO,
  LINK_DEADLINE_MS,
  LINK_PAUSE_ABOVE_BYTES,
  linkLost,
  linkTlsOptions,
  provenKey,
} from './link.js';
import type { PeerLink } from './link.js';
import { keyChanged } from './pins.js';
import type { Pins } from './pins.js';

/** Links that have not shown yet what they are; past it the oldest goes, so that strangers cannot shut out the introduced. */
export const MAX_PENDING_LINKS = 128;
/** The same from one address; past it the newcomer is refused. */
export const MAX_PENDING_LINKS_PER_ADDRESS = 32;
/** Standing links: well below the descriptors a process has. */
export const MAX_LINKS = 512;
/** Introductions waited for at once: many more than one user's downloads and chats need. */
export const MAX_EXPECTED = 1_024;

export interface PeerListenerOptions {
  readonly identity: Identity;
  readonly pins: Pins;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Takes over a link that was found good, and closes it one day. Must set up what it serves before it returns. */
  readonly onLink: (link: PeerLink) => void;
  readonly clock?: Clock;
}

/** @throws ParleyError USAGE when the address cannot be listened on */
export async function startPeerListener(options: PeerListenerOptions): Promise<PeerListener> {
  const server = createServer({ noDelay: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, options.host, resolve);
    });
  } catch (cause) {
    const reason = `cannot listen for links on ${options.host}:${options.port} (${(cause as Error).message}); choose another with --listen`;
    throw new ParleyError('USAGE', { reason }, { cause });
  }
  return new PeerListener(server, options);
}

interface Expected extends Introduction {
  readonly until: number;
}

export class PeerListener {
  /** The port it listens on. */
  readonly port: number;
  readonly #options: PeerListenerOptions;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #tls: TlsServer;
  readonly #expected = new Map<string, Expected>();
  /** Sockets that have not become links yet by `address port`, oldest first. */
  readonly #pending = new Map<string, Socket>();
  #links = 0;

  constructor(server: Server, options: PeerListenerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.#tls = createTlsServer({ ...linkTlsOptions(options.identity), handshakeTimeout: LINK_DEADLINE_MS });
    this.#tls.on('secureConnection', (socket) => this.#judge(socket));
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    server.on('connection', (socket) => this.#admit(socket));
    // A refused accept (no descriptors left) passes; those that stand go on.
    server.on('error', () => undefined);
  }

  /** Introductions that may still be used. */
  get expecting(): number {
    this.#forgetLate();
    return this.#expected.size;
  }

  /**
   * Lets one link in: with this key, this introduction and purpose, within its `ttlMs` (at most 30 s), once.
   * @throws ParleyError KEY_CHANGED when another key is pinned for this user; SERVER_BUSY when too many are waited for
   */
  expect(introduction: Introduction): void {
    const { id, peer, publicKey, ttlMs } = introduction;
    if (this.#options.pins.check('peer', peer, publicKey) === 'changed') throw keyChanged('peer', peer);
    this.#forgetLate();
    if (this.#expected.size >= MAX_EXPECTED) throw new ParleyError('SERVER_BUSY');
    const until = this.#clock.monotonicMs() + Math.min(ttlMs, INTRODUCTION_TTL_MS);
    this.#expected.set(id, { ...introduction, until });
  }

  /** No longer lets in a link that was introduced and has not come: its user was blocked, say. */
  withdraw(id: string): void {
    this.#expected.delete(id);
  }

  /** Accepts no more, and closes what has not become a link. Standing links belong to those who took them. Idempotent. */
  close(): void {
    this.#expected.clear();
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#pending.values()) socket.destroy();
  }

  #admit(socket: Socket): void {
    socket.on('error', () => undefined); // It closes, and that is all there is to do.
    const pending = [...this.#pending.values()];
    const fromThere = pending.filter((each) => each.remoteAddress === socket.remoteAddress).length;
    if (fromThere >= MAX_PENDING_LINKS_PER_ADDRESS || this.#links >= MAX_LINKS) {
      socket.destroy();
      return;
    }
    if (pending.length >= MAX_PENDING_LINKS) pending[0]?.destroy();
    const name = remoteName(socket);
    this.#pending.set(name, socket);
    socket.once('close', () => this.#pending.delete(name));
    this.#tls.emit('connection', socket);
  }

  /** TLS stands: whoever shows no key that is expected now is gone before a byte of theirs was read. */
  #judge(socket: TLSSocket): void {
    socket.on('error', () => undefined);
    const key = provenKey(socket);
    this.#forgetLate();
    if (key === undefined || ![...this.#expected.values()].some((each) => sameKey(each.publicKey, key))) {
      socket.destroy();
      return;
    }
    let found: Expected | undefined;
    const connection: Connection = new Connection(socket, {
      hello: makeHello('peer'),
      end: 'listener',
      caps: CAPS_BEFORE_HELLO,
      clock: this.#clock,
      pauseAboveBytes: LINK_PAUSE_ABOVE_BYTES,
      checkHello: (theirs) => {
        found = this.#use(theirs, key);
        connection.raiseCaps(FULL_CAPS);
      },
      lost: (reason) => linkLost(found?.peer ?? 'that user')(reason),
    });
    connection.ready.then(
      () => found === undefined || this.#welcome(found, connection, socket),
      () => undefined,
    );
  }

  #welcome({ id, peer, publicKey, purpose }: Expected, connection: Connection, socket: TLSSocket): void {
    this.#pending.delete(remoteName(socket));
    this.#links += 1;
    void connection.closed.then(() => (this.#links -= 1));
    this.#options.pins.pin('peer', peer, publicKey).catch((error: unknown) => connection.destroy(toParleyError(error)));
    this.#options.onLink({ id, peer, publicKey, purpose, connection, bytesReceived: () => socket.bytesRead });
  }

  /** The introduction named by a hello, which is used up by it. @throws ParleyError PROTOCOL_ERROR, BAD_INTRODUCTION */
  #use(theirs: Hello, key: string): Expected {
    if (theirs.role !== 'peer') {
      throw new ParleyError('PROTOCOL_ERROR', { reason: `a ${theirs.role} is no end of a peer link` });
    }
    this.#forgetLate();
    const expected = theirs.introduction === undefined ? undefined : this.#expected.get(theirs.introduction);
    if (expected === undefined || expected.purpose !== theirs.purpose || !sameKey(expected.publicKey, key)) {
      throw new ParleyError('BAD_INTRODUCTION');
    }
    if (this.#options.pins.check('peer', expected.peer, key) === 'changed') throw new ParleyError('BAD_INTRODUCTION');
    this.#expected.delete(expected.id);
    return expected;
  }

  #forgetLate(): void {
    const now = this.#clock.monotonicMs();
    for (const [id, { until }] of this.#expected) if (until <= now) this.#expected.delete(id);
  }
}

function remoteName(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}
