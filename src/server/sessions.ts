/** Begins and ends sessions: login, resume, one session a user with take-over of a dead one (R7), inactivity, removal. */
import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../protocol/clock.js';
import type { sessionStart } from '../protocol/commands/server/login.js';
import type { Connection } from '../protocol/connection.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import type { NoticeCode } from '../protocol/events.js';
import type { z } from 'zod';
import type { Authenticate } from './auth/authenticate.js';
import type { Services } from './context.js';
import type { Groups } from './groups.js';
import { RESUME_AGAIN_MS, TAKEOVER_PING_MS, TOKEN_LIFETIME_MS } from './limits.js';
import { encodeNotice } from './notices.js';
import { Session } from './session.js';
import type { EndReason, Origin } from './session.js';
import type { UserId, UserRecord } from './storage/port.js';
import { KeyedTurns } from '../protocol/turns.js';

const TOKEN_BYTES = 32;

type SessionStart = z.input<typeof sessionStart>;

export interface SessionsParts {
  readonly services: Services;
  readonly authenticate: Authenticate;
  readonly timeoutMs: number;
  readonly leaseMs: number;
}

export interface Entered {
  readonly session: Session;
  readonly start: SessionStart;
}

/** What a session was resumed with. */
interface UsedToken {
  readonly token: string;
  readonly hash: string;
}

/** What the other end is told when its session ends. */
const NOTICES: Partial<Record<EndReason, NoticeCode>> = {
  idle: 'LOGGED_OUT_IDLE',
  replaced: 'LOGGED_OUT_REPLACED',
  removed: 'ACCOUNT_REMOVED',
  kicked: 'LOGGED_OUT_KICKED',
  stopping: 'SERVER_STOPPING',
};

export class Sessions {
  readonly #services: Services;
  readonly #clock: Clock;
  readonly #authenticate: Authenticate;
  readonly #timeoutMs: number;
  readonly #leaseMs: number;
  /** One login of a user is decided at a time. */
  readonly #deciding = new KeyedTurns<UserId>();
  readonly #cancelIdle = new Map<Session, () => void>();
  readonly #ending = new Set<Promise<void>>();

  constructor({ services, authenticate, timeoutMs, leaseMs }: SessionsParts) {
    this.#services = services;
    this.#clock = services.clock;
    this.#authenticate = authenticate;
    this.#timeoutMs = timeoutMs;
    this.#leaseMs = leaseMs;
  }

  /** @throws ParleyError BAD_CREDENTIALS, LOCKED_OUT, ALREADY_LOGGED_IN, SERVER_BUSY, CANCELLED */
  async login(
    connection: Connection,
    origin: Origin,
    credentials: { readonly user: string; readonly password: string },
    signal: AbortSignal,
  ): Promise<Entered> {
    const { user: name, password } = credentials;
    const { address, key } = origin;
    const user = await this.#authenticate({ name, password, address, keyFingerprint: key?.fingerprint }, signal);
    return this.#deciding.run(user.id, async () => {
      await this.#replaceDead(user);
      return this.#begin(connection, origin, user);
    });
  }

  /** @throws ParleyError LOGIN_REQUIRED, ALREADY_LOGGED_IN */
  async resume(connection: Connection, origin: Origin, token: string): Promise<Entered> {
    const { storage, presence } = this.#services;
    const { key } = origin;
    if (key === undefined) throw new ParleyError('LOGIN_REQUIRED');
    const hash = hashToken(token);
    const held = await storage.findResumeToken(hash, this.#clock.epochMs());
    // Whoever has the token but not the key gets no further, and does not use it up.
    if (held?.keyFingerprint !== key.fingerprint) throw new ParleyError('LOGIN_REQUIRED');
    return this.#deciding.run(held.userId, async () => {
      const standing = presence.get(held.userId);
      if (standing?.origin.key?.fingerprint === key.fingerprint) await this.end(standing, 'resumed');
      const user = await storage.getUser(held.userId);
      if (user === undefined) throw new ParleyError('LOGIN_REQUIRED');
      await this.#replaceDead(user);
      return this.#begin(connection, origin, user, { token, hash });
    });
  }

  /** Ends a session, tells its client why when there is something to tell, and closes its connection. Idempotent. */
  end(session: Session, reason: EndReason): Promise<void> {
    const ending = this.#end(session, reason);
    this.#ending.add(ending);
    return ending.finally(() => this.#ending.delete(ending));
  }

  /**
   * Ends the user's session by the operator's will, with every token that could resume one; false when there is none. A login or
   * resume of the same user that is being decided comes first.
   * @throws ParleyError DISK_FULL when the tokens could not be revoked
   */
  kick(userId: UserId): Promise<boolean> {
    return this.#deciding.run(userId, async () => {
      const standing = this.#services.presence.get(userId);
      if (standing === undefined) return false;
      await this.end(standing, 'kicked');
      // It did so already, unless the disk was full: then the operator has to know.
      await this.#services.storage.revokeResumeTokens(userId);
      return true;
    });
  }

  /** Ends all sessions because the server stops; resolves when their connections are closed and everything is written. */
  async endAll(): Promise<void> {
    await Promise.all(this.#services.presence.sessions().map((session) => this.end(session, 'stopping')));
    while (this.#ending.size > 0) await Promise.all(this.#ending);
  }

  /** Ends the sessions of users that are no more. */
  async endRemoved(): Promise<void> {
    for (const session of this.#services.presence.sessions()) {
      if ((await this.#services.storage.getUser(session.user.id)) === undefined) await this.end(session, 'removed');
    }
  }

  /** @throws ParleyError ALREADY_LOGGED_IN when a session of the user stands and its client answers */
  async #replaceDead(user: UserRecord): Promise<void> {
    const standing = this.#services.presence.get(user.id);
    if (standing === undefined) return;
    if (await standing.connection.alive(TAKEOVER_PING_MS)) {
      throw new ParleyError('ALREADY_LOGGED_IN', { user: user.name, where: 'on another connection' });
    }
    await this.end(standing, 'replaced');
  }

  async #begin(connection: Connection, origin: Origin, before: UserRecord, used?: UsedToken): Promise<Entered> {
    const { storage, presence, conversations, registry, groups } = this.#services;
    if (!connection.isOpen) throw new ParleyError('CANCELLED');
    await conversations.writeAcknowledged(before.id);
    const user = await storage.getUser(before.id);
    if (user === undefined) throw new ParleyError('BAD_CREDENTIALS');
    const blocked = (await storage.listBlocked(user.id)).map(({ name }) => name);
    const unread = await storage.countUnread(user.id);
    const nextNumber = origin.key && (await storage.nextNumber(user.id, origin.key.fingerprint));
    const token = await this.#newToken(user.id, origin, used);
    const session = new Session({
      user: { id: user.id, name: user.name },
      origin,
      connection,
      pump: conversations.pump(user.id, connection, user.deliveredPosition),
      clock: this.#clock,
    });
    await groups.began(session, used === undefined ? 'login' : 'resume');
    presence.join(session, used === undefined ? undefined : before);
    registry.renew(user.id);
    this.#watchIdle(session);
    const start: SessionStart = {
      user: user.name,
      ...(token === undefined ? {} : { token }),
      leaseSeconds: this.#leaseMs / 1000,
      timeoutSeconds: this.#timeoutMs / 1000,
      acknowledged: user.deliveredPosition,
      unread,
      blocked,
      ...(nextNumber === undefined ? {} : { nextNumber }),
      ...(session.focus === undefined ? {} : { focus: session.focus.group.name }),
    };
    return { session, start };
  }

  /** @throws ParleyError LOGIN_REQUIRED when the token that was used has been revoked meanwhile */
  async #newToken(userId: UserId, { key }: Origin, used: UsedToken | undefined): Promise<string | undefined> {
    if (key === undefined) return undefined;
    const { storage, log } = this.#services;
    const at = this.#clock.epochMs();
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    let isKept: boolean;
    try {
      isKept = await storage.keepSession({
        userId,
        keyFingerprint: key.fingerprint,
        publicKey: key.publicKey,
        tokenHash: hashToken(token),
        expiresAt: at + TOKEN_LIFETIME_MS,
        at,
        // The answer with the next token may be lost with the connection: this one is good for a little while yet.
        used: used && { tokenHash: used.hash, until: at + RESUME_AGAIN_MS },
      });
    } catch (thrown) {
      const { code, message: reason } = toParleyError(thrown);
      if (code !== 'DISK_FULL') throw thrown;
      // Who cannot be remembered may read all the same (R21); a token that was used stays as it was.
      log.error({ userId, code, reason }, 'no token for the session could be kept');
      return used?.token;
    }
    if (!isKept) throw new ParleyError('LOGIN_REQUIRED');
    return token;
  }

  /** One timer a session, set again for what is left whenever it finds that the user was active meanwhile. */
  #watchIdle(session: Session): void {
    const leftMs = session.lastActiveMs + this.#timeoutMs - this.#clock.monotonicMs();
    const cancel = this.#clock.after(Math.max(0, leftMs), () => {
      if (this.#clock.monotonicMs() - session.lastActiveMs >= this.#timeoutMs) void this.end(session, 'idle');
      else this.#watchIdle(session);
    });
    this.#cancelIdle.set(session, cancel);
  }

  async #end(session: Session, reason: EndReason): Promise<void> {
    const { presence, registry, conversations, groups, log, storage } = this.#services;
    const { user, connection } = session;
    this.#cancelIdle.get(session)?.();
    this.#cancelIdle.delete(session);
    if (!presence.leave(session, leaving(reason))) return;
    log.info({ user: user.name, reason }, 'session ended');
    if (reason === 'lost' || reason === 'stopping') registry.leave(user.id, 'broken');
    else if (reason !== 'resumed') registry.leave(user.id, 'ended');
    try {
      await conversations.detach(session);
      await groups.ended(session, endOfGroups(reason));
      if (reason !== 'lost' && reason !== 'stopping' && reason !== 'resumed') await storage.revokeResumeTokens(user.id);
    } catch (error) {
      log.warn({ err: error, user: user.name }, 'could not write down the end of a session');
    }
    await this.#sayGoodbye(connection, reason);
  }

  async #sayGoodbye(connection: Connection, reason: EndReason): Promise<void> {
    const notice = NOTICES[reason];
    if (notice !== undefined) connection.sendEncodedEvent(encodeNotice(notice, this.#clock.epochMs()));
    if (reason === 'resumed') connection.destroy();
    else if (reason === 'idle' || reason === 'replaced' || reason === 'removed' || reason === 'kicked') {
      void connection.close(new ParleyError('LOGIN_REQUIRED'));
    } else if (reason === 'stopping') await connection.close();
  }
}

function leaving(reason: EndReason): 'ended' | 'broken' | 'quietly' {
  if (reason === 'lost') return 'broken';
  return reason === 'resumed' || reason === 'stopping' ? 'quietly' : 'ended';
}

/** What the end of a session is to its focus group. */
function endOfGroups(reason: EndReason): Parameters<Groups['ended']>[1] {
  if (reason === 'lost') return 'broken';
  return reason === 'resumed' || reason === 'stopping' ? 'goes on' : 'left';
}

function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
