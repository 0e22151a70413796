/** Direct links of this user: where they come in, who may open one, and opening one to somebody else. */
import type { Identity } from '../../protocol/certificate.js';
import type { Clock } from '../../protocol/clock.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Introduction, Purpose } from '../../protocol/commands/server/introduce.js';
import type { Connection } from '../../protocol/connection.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { nameKey } from '../../protocol/values.js';
import { dialIntroduced, dialPinned } from '../../p2p/dialer.js';
import type { Dial } from '../../p2p/dialer.js';
import type { DialledLink, PeerLink } from '../../p2p/link.js';
import { LINK_THREADS_FROM_BYTES, LinkPlaces } from '../../p2p/linkplaces.js';
import { startPeerListener } from '../../p2p/listener.js';
import type { PeerListener } from '../../p2p/listener.js';
import type { Pins } from '../../p2p/pins.js';
import { formatAddress } from './address.js';
import type { Address } from './address.js';
import type { Log } from './log.js';
import type { Session } from './session.js';

export interface PeersOptions {
  readonly identity: Identity;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly log: Log;
  readonly session: Pick<Session, 'call'>;
  /** All interfaces and any port when absent. */
  readonly listen: Address | undefined;
  /** The server found that others cannot connect here. */
  readonly onProblem: () => void;
  /** Takes a link that somebody else opened; must set up what it serves before it returns. */
  readonly onLink: (link: PeerLink) => void;
}

/** Where others' links come in: as the server found it, or as far as it is known here. */
interface Reach {
  readonly address: string;
  /** Why the server could not connect there. */
  readonly problem?: string | undefined;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #links = new Set<DialledLink>();
  /** Where links are over which much is fetched. */
  readonly #places = new LinkPlaces();
  /** Links that were announced and have not come: whose, by introduction. */
  readonly #awaited = new Map<string, string>();
  #blocked = new Set<string>();
  #listener: PeerListener | undefined;
  #reach: Reach | undefined;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Where others' links come in, as `host:port`; undefined before `listen`. */
  get address(): string | undefined {
    return this.#reach?.address;
  }

  /** What keeps others from connecting here, in a sentence; undefined when they can, or nobody tried. */
  get problem(): string | undefined {
    if (this.#reach?.problem === undefined) return undefined;
    const { address, problem } = this.#reach;
    return `others cannot connect to ${address} (${problem}), so nobody can fetch what you share; let that port in, or choose another with --listen`;
  }

  /** Begins to listen, on the same port from then on. @throws ParleyError USAGE when the address cannot be listened on */
  async listen(): Promise<void> {
    if (this.#listener !== undefined) return;
    const { identity, pins, clock, listen } = this.#options;
    const onLink = (link: PeerLink): void => this.#accept(link);
    const start = (host: string, port: number): Promise<PeerListener> =>
      startPeerListener({ identity, pins, clock, host, port, onLink });
    if (listen !== undefined) this.#listener = await start(listen.host, listen.port);
    else this.#listener = await start('::', 0).catch(() => start('0.0.0.0', 0)); // a machine without IPv6
    const host = listen?.host ?? '0.0.0.0';
    this.#reach = { address: formatAddress({ host, port: this.#listener.port }) };
  }

  /** Offers the listener to others, at each beginning of a session. Never rejects. */
  async advertise(): Promise<void> {
    const port = this.#listener?.port;
    if (port === undefined) return;
    const { session, log } = this.#options;
    try {
      const { address, reachable, reason } = await session.call(serverCommands.advertise, { port });
      this.#reach = { address, problem: reachable ? undefined : (reason ?? 'no reason given') };
      if (reachable) return;
      log.warn({ address, reason }, 'others cannot connect to this agent');
      this.#options.onProblem();
    } catch (thrown) {
      log.warn({ reason: toParleyError(thrown).message }, 'could not advertise the listener');
    }
  }

  /**
   * Lets in one link that the server announced.
   * @throws ParleyError BLOCKED, KEY_CHANGED, SERVER_BUSY
   */
  expect(introduction: Introduction): void {
    const { id, peer, ttlMs } = introduction;
    if (this.isBlocked(peer)) throw new ParleyError('BLOCKED', { user: peer });
    if (this.#listener === undefined) throw new ParleyError('SERVER_BUSY');
    this.#listener.expect(introduction);
    this.#awaited.set(id, nameKey(peer));
    this.#options.clock.after(ttlMs, () => this.#awaited.delete(id));
  }

  /**
   * Opens a link to a user. `prepare` sets up what this end serves over it.
   * @throws ParleyError UNKNOWN_USER, USER_OFFLINE, SELF, BLOCKED, PEER_UNREACHABLE, KEY_CHANGED, CANCELLED; what the session throws
   */
  connect(
    user: string,
    purpose: Purpose,
    options: {
      prepare?: (connection: Connection, introduction: Introduction) => void;
      signal?: AbortSignal | undefined;
    },
  ): Promise<PeerLink> {
    return this.#connect(user, purpose, options, dialIntroduced);
  }

  /** Opens a link over which `bytes` bytes are to be fetched; it may be in another thread when these are many. @throws as `connect` */
  connectToFetch(user: string, bytes: number, signal: AbortSignal): Promise<DialledLink> {
    const dial: Dial<DialledLink> =
      bytes < LINK_THREADS_FROM_BYTES ? dialIntroduced : (options) => this.#places.dial(options);
    return this.#connect(user, 'transfer', { signal }, dial);
  }

  async #connect<L extends DialledLink>(
    user: string,
    purpose: Purpose,
    { signal, prepare }: Parameters<Peers['connect']>[2],
    dial: Dial<L>,
  ): Promise<L> {
    const { session, identity, pins, clock } = this.#options;
    const { introduction, host, port } = await session.call(serverCommands.introduce, { user, purpose }, { signal });
    const link = await dialPinned(
      {
        identity,
        pins,
        clock,
        host,
        port,
        introduction,
        prepare: (connection) => prepare?.(connection, introduction),
        signal,
      },
      dial,
    );
    // Blocked while it was dialled: nothing of theirs may come any more.
    if (this.isBlocked(link.peer)) {
      link.connection.destroy();
      throw new ParleyError('BLOCKED', { user: link.peer });
    }
    this.#track(link);
    return link;
  }

  isBlocked(user: string): boolean {
    return this.#blocked.has(nameKey(user));
  }

  /** Whom the server says that this user blocks. */
  setBlocked(users: readonly string[]): void {
    this.#blocked = new Set(users.map(nameKey));
  }

  /** Takes nothing from a user any more: standing links are closed at once, announced ones will not be let in. */
  block(user: string): void {
    const key = nameKey(user);
    this.#blocked.add(key);
    for (const [id, whose] of this.#awaited) if (whose === key) this.#listener?.withdraw(id);
    for (const { peer, connection } of this.#links) if (nameKey(peer) === key) connection.destroy();
  }

  unblock(user: string): void {
    this.#blocked.delete(nameKey(user));
  }

  /** Accepts no more, and closes all links. Idempotent. */
  async close(): Promise<void> {
    this.#listener?.close();
    const links = [...this.#links];
    for (const { connection } of links) connection.destroy();
    await Promise.all(links.map(({ connection }) => connection.closed));
    await this.#places.close();
  }

  #accept(link: PeerLink): void {
    this.#awaited.delete(link.id);
    if (this.isBlocked(link.peer)) {
      link.connection.destroy();
      return;
    }
    this.#track(link);
    this.#options.onLink(link);
  }

  #track(link: DialledLink): void {
    this.#links.add(link);
    void link.connection.closed.then(() => this.#links.delete(link));
  }
}
