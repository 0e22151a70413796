/** Introduces users for direct links (R8, R10), and checks that an advertised port is the advertiser's own (R11). */
import { randomBytes } from 'node:crypto';
import { sameKey } from '../protocol/certificate.js';
import { expectPeer } from '../protocol/commands/client/expectPeer.js';
import type { Introduction, Purpose } from '../protocol/commands/server/introduce.js';
import { ParleyError } from '../protocol/errors.js';
import { INTRODUCTION_TTL_MS } from '../protocol/limits.js';
import type { Blocks } from './blocks.js';
import { EXPECT_DEADLINE_MS, MAX_PROBES, Slots } from './limits.js';
import type { Presence } from './presence.js';
import { formatAddress } from './listener.js';
import type { Probe } from './probe.js';
import type { Reach, Session } from './session.js';
import type { UserRecord } from './storage/port.js';

export interface IntroductionsParts {
  readonly blocks: Pick<Blocks, 'blockersOf'>;
  readonly presence: Presence;
  readonly probe: Probe;
}

export interface Introduced {
  readonly introduction: Introduction;
  readonly host: string;
  readonly port: number;
}

export class Introductions {
  readonly #blocks: IntroductionsParts['blocks'];
  readonly #presence: Presence;
  readonly #probe: Probe;
  readonly #probes = new Slots(MAX_PROBES);

  constructor({ blocks, presence, probe }: IntroductionsParts) {
    this.#blocks = blocks;
    this.#presence = presence;
    this.#probe = probe;
  }

  /**
   * Connects to the port at the address that the session comes from, and hands it to others only when the session's key answers.
   * @throws ParleyError KEY_REQUIRED, SERVER_BUSY, CANCELLED
   */
  async advertise(session: Session, port: number, signal: AbortSignal): Promise<Reach> {
    const { key, address } = session.origin;
    if (key === undefined) throw new ParleyError('KEY_REQUIRED');
    session.probes.use();
    const refusal = await this.#look(address, port, key.publicKey, signal);
    session.reach =
      refusal === undefined
        ? { kind: 'reachable', port, hosts: new Map([[address, true]]) }
        : { kind: 'unreachable', port, reason: refusal };
    return session.reach;
  }

  /** Why nobody should be sent there; undefined when this key answers. */
  async #look(host: string, port: number, publicKey: string, signal: AbortSignal): Promise<string | undefined> {
    const free = this.#probes.take();
    try {
      const found = await this.#probe(host, port, signal);
      if (found.kind === 'unreachable') return found.reason;
      return sameKey(found.publicKey, publicKey) ? undefined : 'another key answers at that port';
    } finally {
      free();
    }
  }

  /**
   * Lets `dialer` link once with the client of `target`, who is told first.
   * @throws ParleyError SELF, USER_OFFLINE, BLOCKED, KEY_REQUIRED, PEER_UNREACHABLE, SERVER_BUSY, CANCELLED
   */
  async introduce(dialer: Session, target: UserRecord, purpose: Purpose, signal: AbortSignal): Promise<Introduced> {
    const user = target.name;
    const dialerKey = dialer.origin.key;
    if (dialerKey === undefined) throw new ParleyError('KEY_REQUIRED');
    if (target.id === dialer.user.id) throw new ParleyError('SELF');
    const peer = this.#presence.get(target.id);
    if (peer === undefined) throw new ParleyError('USER_OFFLINE', { user });
    await this.#checkBlocks(dialer, target);
    const peerKey = peer.origin.key;
    if (peerKey === undefined)
      throw new ParleyError('PEER_UNREACHABLE', { user, reason: 'their session showed no key' });
    dialer.introductions.use();
    const { host, port } = await this.#whereIs(peer, peerKey.publicKey, dialer, signal);

    const id = randomBytes(16).toString('hex');
    const common = { id, purpose, ttlMs: INTRODUCTION_TTL_MS };
    await this.#tellPeer(peer, { ...common, peer: dialer.user.name, publicKey: dialerKey.publicKey }, signal);
    // Much may have happened while the peer was asked.
    await this.#checkBlocks(dialer, target);
    if (this.#presence.get(target.id) !== peer) throw new ParleyError('USER_OFFLINE', { user });
    return {
      introduction: { ...common, peer: user, publicKey: peerKey.publicKey },
      host,
      port,
    };
  }

  /**
   * The peer's address as the server sees it. For a peer on the server's own machine that is one that means another machine to
   * a dialer from elsewhere, who gets the address at which they reached the server, once the peer's key answers there, too.
   * @throws ParleyError PEER_UNREACHABLE, SERVER_BUSY, CANCELLED
   */
  async #whereIs(
    peer: Session,
    publicKey: string,
    dialer: Session,
    signal: AbortSignal,
  ): Promise<{ host: string; port: number }> {
    const { reach, origin } = peer;
    const user = peer.user.name;
    if (reach.kind === 'not advertised') {
      throw new ParleyError('PEER_UNREACHABLE', { user, reason: 'they take no links' });
    }
    const { port } = reach;
    const unreachable = (address: string, reason: string): ParleyError =>
      new ParleyError('PEER_UNREACHABLE', { user, reason, address: formatAddress(address, port) });
    if (reach.kind === 'unreachable') throw unreachable(origin.address, reach.reason);
    const { hosts } = reach;
    const isElsewhere = isLoopback(origin.address) && !isLoopback(dialer.origin.address);
    const host = isElsewhere ? dialer.origin.localAddress : origin.address;
    if (!hosts.has(host)) {
      peer.probes.use();
      hosts.set(host, (await this.#look(host, port, publicKey, signal)) === undefined);
    }
    if (hosts.get(host) !== true) throw unreachable(host, 'they take links from their own machine only');
    return { host, port };
  }

  async #checkBlocks(dialer: Session, target: UserRecord): Promise<void> {
    const theyBlock = (await this.#blocks.blockersOf(dialer.user.id)).has(target.id);
    const iBlock = (await this.#blocks.blockersOf(target.id)).has(dialer.user.id);
    if (theyBlock || iBlock) throw new ParleyError('BLOCKED', { user: target.name });
  }

  async #tellPeer(peer: Session, introduction: Introduction, signal: AbortSignal): Promise<void> {
    const user = peer.user.name;
    try {
      await peer.connection.call(expectPeer, introduction, { signal, deadlineMs: EXPECT_DEADLINE_MS });
    } catch (cause) {
      if (signal.aborted) throw new ParleyError('CANCELLED', {}, { cause });
      const code = cause instanceof ParleyError ? cause.code : undefined;
      if (code === 'BLOCKED') throw new ParleyError('BLOCKED', { user }, { cause });
      const reason =
        code === 'KEY_CHANGED'
          ? 'they know you by another key'
          : code === 'SERVER_BUSY'
            ? 'they have too many links'
            : 'they do not answer';
      throw new ParleyError('PEER_UNREACHABLE', { user, reason }, { cause });
    }
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
