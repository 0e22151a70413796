/** Who is online, when who was last seen, and telling the others. */
import type { Clock } from '../protocol/clock.js';
import { encodeEvent } from '../protocol/connection.js';
import { DEAD_AFTER_MS } from '../protocol/limits.js';
import { nameKey } from '../protocol/values.js';
import type { UserName } from '../protocol/values.js';
import type { Blocks } from './blocks.js';
import {
  CROWD,
  CROWD_GRACE_MS,
  OFFLINE_GRACE_MS,
  PRESENCE_BATCH,
  PRESENCE_GATHER_MS,
  SEEN_INTERVAL_MS,
} from './limits.js';
import type { Log } from './log.js';
import type { Session } from './session.js';
import type { BlockStore, UserId, UserStore } from './storage/port.js';
import { InTurn } from '../protocol/turns.js';

export interface PresenceParts {
  readonly storage: Pick<UserStore, 'touchLastSeen' | 'usersSeenSince'> & Pick<BlockStore, 'listBlocked'>;
  readonly blocks: Pick<Blocks, 'blockersOf'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Seen {
  readonly name: UserName;
  readonly lastSeenAt: number;
  readonly online: boolean;
}

type User = Session['user'];

/** Who came or went, as an event frame. */
interface News {
  /** Counts up; a session is told from where it began. */
  readonly number: number;
  readonly user: User;
  readonly event: Buffer;
}

function concat(news: readonly News[]): Buffer {
  return Buffer.concat(news.map(({ event }) => event));
}

export class Presence {
  readonly #storage: PresenceParts['storage'];
  readonly #blocks: PresenceParts['blocks'];
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #startedMs: number;
  readonly #online = new Map<UserId, Session>();
  /** The same by `nameKey`. */
  readonly #byName = new Map<string, Session>();
  /** Users whose connection broke, until the others are told. */
  readonly #missing = new Map<UserId, () => void>();
  /** Users whose broken connection was told to the others, until they are back. */
  readonly #toldGone = new Set<UserId>();
  /** Users to be written down as seen, gathered for a turn of the loop. */
  #toTouch = new Set<UserId>();
  #cancelInterval: () => void;
  #news: News[] = [];
  #nextNews = 0;
  readonly #telling = new InTurn();
  #cancelNews: () => void = () => undefined;

  constructor({ storage, blocks, clock, log }: PresenceParts) {
    this.#storage = storage;
    this.#blocks = blocks;
    this.#clock = clock;
    this.#log = log;
    this.#startedMs = clock.monotonicMs();
    const repeat = (): (() => void) =>
      clock.after(SEEN_INTERVAL_MS, () => {
        this.#touch(...this.#online.keys());
        this.#cancelInterval = repeat();
      });
    this.#cancelInterval = repeat();
  }

  get(userId: UserId): Session | undefined {
    return this.#online.get(userId);
  }

  /** By a name somebody typed. */
  find(name: string): Session | undefined {
    return this.#byName.get(nameKey(name));
  }

  get size(): number {
    return this.#online.size;
  }

  /** All sessions there are, in a list of their own. */
  sessions(): Session[] {
    return [...this.#online.values()];
  }

  /**
   * The session is its user's from now on. Others are told, unless for them the user was here all the time: a session that is
   * taken up again soon after it was last seen, or soon after the server began.
   */
  join(session: Session, resumed: { readonly lastSeenAt: number | undefined } | undefined): void {
    const { user } = session;
    const wasHere = this.#online.has(user.id) || this.#missing.has(user.id);
    const wasTold = this.#toldGone.delete(user.id);
    this.#forgetMissing(user.id);
    session.newsFrom = this.#nextNews;
    this.#online.set(user.id, session);
    this.#byName.set(nameKey(user.name), session);
    this.#touch(user.id);
    const isBack =
      resumed !== undefined && (this.#isYoung() || this.#clock.epochMs() - (resumed.lastSeenAt ?? 0) < DEAD_AFTER_MS);
    if (!wasHere && (wasTold || !isBack)) this.#announce(user, true);
  }

  /** Right after the start everybody comes back: those who would be told have only just come themselves. */
  #isYoung(): boolean {
    return this.#clock.monotonicMs() - this.#startedMs < CROWD_GRACE_MS;
  }

  /** Ends what `join` began, when it is still this session that is its user's; a broken connection is told to others a little later. */
  leave(session: Session, how: 'ended' | 'broken' | 'quietly'): boolean {
    const { user } = session;
    if (this.#online.get(user.id) !== session) return false;
    this.#online.delete(user.id);
    this.#byName.delete(nameKey(user.name));
    this.#touch(user.id);
    if (how === 'ended') this.#announce(user, false);
    if (how === 'broken') this.#miss(user, OFFLINE_GRACE_MS, CROWD_GRACE_MS - OFFLINE_GRACE_MS);
    return true;
  }

  /** Others are told that the user has gone when the grace is over, and not before `moreMs` later while a crowd is on its way back. */
  #miss(user: User, graceMs: number, moreMs = 0): void {
    const cancel = this.#clock.after(graceMs, () => {
      if (moreMs > 0 && this.#missing.size > CROWD) {
        this.#miss(user, moreMs);
        return;
      }
      this.#missing.delete(user.id);
      this.#toldGone.add(user.id);
      this.#announce(user, false);
    });
    this.#missing.set(user.id, cancel);
  }

  /** Everyone who was online at `sinceMs` (epoch) or later, the latest first; who is online now counts as seen now. */
  async seenSince(sinceMs: number): Promise<Seen[]> {
    const now = this.#clock.epochMs();
    const here = this.sessions().map(({ user }) => ({ name: user.name, lastSeenAt: now, online: true }));
    const away = (await this.#storage.usersSeenSince(sinceMs))
      .filter(({ id }) => !this.#online.has(id))
      .map(({ name, lastSeenAt }) => ({ name, lastSeenAt, online: false }));
    return [...here, ...away];
  }

  /** Writes down when everyone was seen, and stops. Idempotent. */
  async close(): Promise<void> {
    this.#cancelInterval();
    this.#cancelNews();
    for (const userId of [...this.#missing.keys()]) this.#forgetMissing(userId);
    for (const userId of this.#online.keys()) this.#toTouch.add(userId);
    await this.#writeTouched();
  }

  #forgetMissing(userId: UserId): void {
    this.#missing.get(userId)?.();
    this.#missing.delete(userId);
  }

  #touch(...userIds: UserId[]): void {
    if (userIds.length === 0) return;
    if (this.#toTouch.size === 0) setImmediate(() => void this.#writeTouched());
    for (const userId of userIds) this.#toTouch.add(userId);
  }

  async #writeTouched(): Promise<void> {
    const userIds = [...this.#toTouch];
    this.#toTouch = new Set();
    if (userIds.length === 0) return;
    try {
      await this.#storage.touchLastSeen(userIds, this.#clock.epochMs());
    } catch (error) {
      this.#log.warn({ err: error }, 'could not write down who was seen');
    }
  }

  /** Soon, to everyone else online but those whom the user blocks and those who block the user. */
  #announce(user: User, online: boolean): void {
    const at = new Date(this.#clock.epochMs()).toISOString();
    const event = encodeEvent({ type: 'presence', from: user.name, online, at });
    this.#news.push({ number: this.#nextNews++, user, event });
    if (this.#news.length > 1) return;
    this.#cancelNews = this.#clock.after(PRESENCE_GATHER_MS, () => {
      const gathered = this.#news;
      this.#news = [];
      this.#telling
        .run(() => this.#tellAll(gathered))
        .catch((error: unknown) => this.#log.warn({ err: error }, 'could not tell who came or went'));
    });
  }

  async #tellAll(news: readonly News[]): Promise<void> {
    for (let at = 0; at < news.length; at += PRESENCE_BATCH) {
      await this.#tell(news.slice(at, at + PRESENCE_BATCH));
      await new Promise(setImmediate);
    }
  }

  async #tell(news: readonly News[]): Promise<void> {
    /** From whom it is kept: users it is about, whom they block, and who blocks them. */
    const notFor = new Map<UserId, Set<News>>();
    const hide = (userId: UserId, item: News): void => {
      const hidden = notFor.get(userId) ?? new Set();
      notFor.set(userId, hidden.add(item));
    };
    for (const item of news) {
      const { id } = item.user;
      hide(id, item);
      for (const blocked of await this.#storage.listBlocked(id)) hide(blocked.id, item);
      for (const blocker of await this.#blocks.blockersOf(id)) hide(blocker, item);
    }
    const everything = concat(news);
    for (const { user, connection, newsFrom, focus } of this.sessions()) {
      // In a room that keeps the outside out.
      if (focus !== undefined) continue;
      const hidden = notFor.get(user.id);
      const mine = news.filter((item) => item.number >= newsFrom && hidden?.has(item) !== true);
      if (mine.length > 0) connection.sendEncodedEvent(mine.length === news.length ? everything : concat(mine));
    }
  }
}
