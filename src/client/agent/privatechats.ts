/** Private chats of this user: over links of their own, kept here and nowhere else. */
import type { Identity } from '../../protocol/certificate.js';
import type { Clock } from '../../protocol/clock.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { Connection } from '../../protocol/connection.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import { nameKey, parseMessageText } from '../../protocol/values.js';
import type { PeerLink } from '../../p2p/link.js';
import { safetyNumber } from '../../p2p/pins.js';
import type { Pins } from '../../p2p/pins.js';
import { PrivateChat } from '../../p2p/privatechat.js';
import type { ChatEnd, PrivateMessage } from '../../p2p/privatechat.js';
import type { FaceEvents } from './faceevents.js';
import type { Log } from './log.js';
import { accountKey } from './account.js';
import type { Account } from './account.js';
import type { Peers } from './peers.js';
import type { PrivateLog } from './privatelog.js';
import { PrivateSending } from './privatesending.js';
import type { Session } from './session.js';
import type { Standing } from './standing.js';

export interface PrivateChatsOptions {
  readonly clock: Clock;
  readonly identity: Identity;
  readonly pins: Pins;
  readonly log: Log;
  readonly session: Pick<Session, 'call'>;
  readonly peers: Peers;
  readonly events: FaceEvents;
  readonly privateLog: PrivateLog;
  readonly standing: Standing;
  readonly account: () => Account;
}

/** A peer's key as two people compare it. */
export interface KeyView {
  readonly user: string;
  /** 60 digits; null while no key of theirs is known. */
  readonly safetyNumber: string | null;
  readonly verified: boolean;
}

export class PrivateChats {
  readonly #options: PrivateChatsOptions;
  /** By user, newest last: two who begin at the same time have two links, and either serves. */
  readonly #chats = new Map<string, PrivateChat[]>();
  readonly #starting = new Set<string>();
  readonly #sending: PrivateSending;

  constructor(options: PrivateChatsOptions) {
    this.#options = options;
    this.#sending = new PrivateSending({
      clock: options.clock,
      find: (user) => this.#find(user),
      open: (user, signal) => this.#open(user, signal),
    });
  }

  /** Takes a link that the other side opened. */
  accept({ peer, connection }: PeerLink): void {
    const first = this.#find(peer) === undefined;
    this.#add(this.#chatOver(peer, connection));
    const { events } = this.#options;
    if (first) events.notice('PRIVATE_STARTED', { from: peer, text: `${peer} began a private chat` });
  }

  /**
   * Opens a chat.
   * @throws ParleyError SELF, PRIVATE_EXISTS, UNKNOWN_USER, USER_OFFLINE, BLOCKED, IN_FOCUS_GROUP, PEER_UNREACHABLE, KEY_CHANGED
   */
  async start(user: string, signal: AbortSignal): Promise<KeyView> {
    this.#notMyself(user);
    this.#options.standing.checkOutside();
    const key = nameKey(user);
    if (this.#find(user) !== undefined || this.#starting.has(key)) throw new ParleyError('PRIVATE_EXISTS', { user });
    this.#starting.add(key);
    try {
      const { peer } = await this.#open(user, signal);
      return await this.view(peer);
    } finally {
      this.#starting.delete(key);
    }
  }

  /**
   * Sends a message, behind those before it; done when the other end keeps it. When the link breaks meanwhile, the same message is sent
   * over a new one, for a while; then it is said to be undelivered.
   * @throws ParleyError EMPTY_MESSAGE, MESSAGE_TOO_LONG, SELF, IN_FOCUS_GROUP, UNKNOWN_USER, NO_PRIVATE_LINK, PEER_UNREACHABLE
   */
  async send(user: string, text: string, signal: AbortSignal): Promise<PrivateMessage> {
    this.#notMyself(user);
    this.#options.standing.checkOutside();
    parseMessageText(text);
    const chat = this.#find(user) ?? (await this.#none(user));
    return this.#sending.send(chat, text, signal);
  }

  /** A link of this side's. */
  async #open(user: string, signal: AbortSignal): Promise<PrivateChat> {
    let chat: PrivateChat | undefined;
    await this.#options.peers.connect(user, 'private', {
      prepare: (connection, introduction) => (chat = this.#chatOver(introduction.peer, connection)),
      signal,
    });
    if (chat === undefined) throw new ParleyError('PEER_UNREACHABLE', { user, reason: 'the link broke at once' });
    this.#add(chat);
    return chat;
  }

  /** @throws ParleyError SELF, UNKNOWN_USER, NO_PRIVATE_LINK */
  async stop(user: string): Promise<string> {
    this.#notMyself(user);
    const { peer } = this.#find(user) ?? (await this.#none(user));
    await Promise.all((this.#chats.get(nameKey(user)) ?? []).map((chat) => chat.close()));
    return peer;
  }

  /**
   * The key of a user: the pinned one, else the one that the server knows.
   * @throws ParleyError SELF, UNKNOWN_USER; what the session throws when no key is pinned
   */
  async view(user: string): Promise<KeyView> {
    this.#notMyself(user);
    const { pins } = this.#options;
    const known = await this.#key(user);
    const pin = pins.get('peer', user);
    return {
      user: known.user,
      safetyNumber: known.publicKey === undefined ? null : this.#safetyNumber(known.user, known.publicKey),
      verified: pin?.verified ?? false,
    };
  }

  /** Notes that two people compared the safety number. @throws as `view` */
  async confirm(user: string): Promise<KeyView> {
    this.#notMyself(user);
    const { pins } = this.#options;
    const known = await this.#key(user);
    if (known.publicKey !== undefined) {
      await pins.pin('peer', known.user, known.publicKey);
      await pins.setVerified('peer', known.user, true);
    }
    return this.view(user);
  }

  /** Forgets the pinned key of a user. @throws SELF, UNKNOWN_USER; what the session throws */
  async reset(user: string): Promise<KeyView> {
    this.#notMyself(user);
    const known = await this.#options.session.call(serverCommands.userKey, { user });
    await this.#options.pins.forget('peer', known.user);
    return this.view(known.user);
  }

  /** Ends every chat, telling the others. */
  async close(): Promise<void> {
    this.#sending.stop();
    await Promise.all([...this.#chats.values()].flat().map((chat) => chat.close()));
  }

  #chatOver(peer: string, connection: Connection): PrivateChat {
    return new PrivateChat({ peer, connection, onMessage: (message) => this.#keep(peer, message) });
  }

  #add(chat: PrivateChat): void {
    const key = nameKey(chat.peer);
    this.#chats.set(key, [...(this.#chats.get(key) ?? []), chat]);
    void chat.ended.then((end) => this.#onEnd(chat, end));
  }

  #onEnd(chat: PrivateChat, end: ChatEnd): void {
    const key = nameKey(chat.peer);
    const rest = (this.#chats.get(key) ?? []).filter((each) => each !== chat);
    if (rest.length > 0) {
      this.#chats.set(key, rest);
      return;
    }
    this.#chats.delete(key);
    const { events, peers } = this.#options;
    const from = chat.peer;
    if (end.by === 'them') events.notice('PRIVATE_STOPPED', { from, text: `${from} ended the private chat` });
    else if (end.by === 'loss' && !peers.isBlocked(from)) {
      events.notice('PRIVATE_LOST', { from, text: `the private link with ${from} broke` });
    }
  }

  /** Durable before it is acknowledged; shown once. */
  async #keep(peer: string, { id, text, sentAt }: PrivateMessage): Promise<void> {
    const { account, privateLog, events, standing, log } = this.#options;
    const own = account();
    // Their clock says when it was sent, but not that it is still to come.
    const at = sentAt < events.now() ? sentAt : events.now();
    const kept = { account: accountKey(own), id, from: peer, to: own.user, text, sentAt: at };
    try {
      const isNew = await privateLog.append(kept);
      if (!isNew || standing.holds(id, peer)) return;
      events.publish({ type: 'private', id, from: peer, to: own.user, text, at });
      standing.publish();
    } catch (thrown) {
      log.error({ reason: toParleyError(thrown).message }, 'a private message could not be kept');
      throw thrown;
    }
  }

  #find(user: string): PrivateChat | undefined {
    return this.#chats.get(nameKey(user))?.findLast(({ state }) => state.kind === 'open');
  }

  #notMyself(user: string): void {
    if (nameKey(user) === nameKey(this.#options.account().user)) throw new ParleyError('SELF');
  }

  /** Why there is no chat: no such user, or none with them. */
  async #none(user: string): Promise<never> {
    await this.#options.session.call(serverCommands.userKey, { user }).catch((thrown: unknown) => {
      if (thrown instanceof ParleyError && thrown.code === 'UNKNOWN_USER') throw thrown;
    });
    throw new ParleyError('NO_PRIVATE_LINK', { user });
  }

  async #key(user: string): Promise<{ user: string; publicKey?: string | undefined }> {
    const pin = this.#options.pins.get('peer', user);
    if (pin !== undefined) return { user: pin.name, publicKey: pin.publicKey };
    return this.#options.session.call(serverCommands.userKey, { user });
  }

  #safetyNumber(user: string, publicKey: string): string {
    const { identity, account } = this.#options;
    return safetyNumber({ user: account().user, publicKey: identity.publicKey }, { user, publicKey });
  }
}
