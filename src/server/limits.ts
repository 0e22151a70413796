/** The server's own limits, each with its unit and reason; those that clients must know are in `protocol/limits.ts`. */
import { report } from 'node:process';
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';
import type { FrameCaps } from '../protocol/frame.js';
import { MAX_UNAUTHENTICATED_BYTES } from '../protocol/limits.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** What a stranger may send in one frame: hello and login fit, and no bytes are due before login (R17). */
export const STRANGER_CAPS: FrameCaps = { controlBytes: MAX_UNAUTHENTICATED_BYTES, dataBytes: 0 };

/** How long the holder of a session may take to answer when the same user logs in elsewhere (R7). */
export const TAKEOVER_PING_MS = 3 * SECOND_MS;
/** How long a holding lasts unless renewed: gone soon after its holder, cheap to renew at a third of it. */
export const LEASE_MS = 60 * SECOND_MS;
/** How long a resume token is good: a long weekend, and not for ever on a stolen disk. */
export const TOKEN_LIFETIME_MS = 7 * DAY_MS;
/** How long a used resume token may be used again by the same key: as long as a client tries to come back at its slowest, several times over. */
export const RESUME_AGAIN_MS = 60 * SECOND_MS;
/** How often tokens that have ended are removed. */
export const TOKEN_SWEEP_MS = 60 * MINUTE_MS;
/** How long a broken connection may stay away before others are told that its user left: a first reconnect takes less. */
export const OFFLINE_GRACE_MS = 3 * SECOND_MS;
/** More broken connections than this at once are a crowd: telling each of every other would keep it from coming back. */
export const CROWD = 100;
/** The same time for a crowd: what it takes thousands to come back, and half as much again. */
export const CROWD_GRACE_MS = 30 * SECOND_MS;
/** How long news of who came and went are gathered: a thousand logins are then some writes to everyone, not a thousand. */
export const PRESENCE_GATHER_MS = 50;
/** News in one write: less than 1 KiB of them, beyond which Node keeps a buffer of 16 KiB for that connection. */
export const PRESENCE_BATCH = 8;
/** How often it is written down that those online were seen: what a crash can make `wholast` forget. */
export const SEEN_INTERVAL_MS = MINUTE_MS;
/** How often it is looked whether `server user` has changed accounts. */
export const ACCOUNTS_INTERVAL_MS = 500;

/** Pushed messages that may be unacknowledged: a window that keeps a fast link busy. */
export const PUSH_WINDOW = 100;
/** Queued output in bytes above which the pump waits: half of what gets a reader cut off. */
export const PUMP_PAUSE_BYTES = 128 * 1024;
/** Bytes of texts that the pump reads at a time. */
export const PUMP_PAGE_BYTES = 64 * 1024;
/** Messages in one commit: about half a millisecond of work. */
export const MAX_COMMIT_MESSAGES = 256;
/** Messages that may wait for a commit; beyond it senders are told SERVER_BUSY. */
export const MAX_WAITING_MESSAGES = 20_000;
/** How long an acknowledged position may wait to be written: a crash within it makes pushes come again, which is harmless. */
export const ACKNOWLEDGE_DELAY_MS = 250;
/** Acknowledged entries that are written at once: what an inbox seems fuller than it is stays small. */
export const ACKNOWLEDGE_AT_ONCE = 32;
/** Bytes of texts in one page of history: what a reader that does not read can make the server keep. */
export const MAX_HISTORY_BYTES = 256 * 1024;
/** How long no messages must have come before their words are indexed in one go; while they come, a batch each time. */
export const INDEX_PAUSE_MS = 150;
/** How long indexing waits when it failed, as on a full disk. */
export const INDEX_RETRY_MS = MINUTE_MS;
/** When a server that was started first looks for messages that are old: once everyone is back. */
export const RETENTION_FIRST_MS = MINUTE_MS;
/** How often it looks then. */
export const RETENTION_INTERVAL_MS = 60 * MINUTE_MS;
/** Bytes that a pushed message's frame has besides its text and its recipients' names. */
export const PUSH_OVERHEAD_BYTES = 512;

/** Users whose blockers are kept in memory. */
export const MAX_CACHED_BLOCKED = 10_000;
/** How long a member of a focus group whose connection broke has to come back before the others are told: one quick reconnect. */
export const GROUP_GRACE_MS = 2 * SECOND_MS;
/** The same after a restart of the server: as long as two thousand clients take to be back (R24), and half as much again. */
export const GROUP_RESTART_GRACE_MS = 30 * SECOND_MS;
/** How long a member of a focus group may leave a message unacknowledged before the server asks whether they are there. */
export const GROUP_LAG_MS = 2 * SECOND_MS;
/** How long a group without members is kept: one used every month stays. */
export const EMPTY_GROUP_LIFETIME_MS = 30 * DAY_MS;
/** How often such groups are looked for. */
export const EMPTY_GROUPS_SWEEP_MS = DAY_MS;
/** Groups whose members are kept in memory. */
export const MAX_CACHED_GROUPS = 256;
/** How often a user is told what a focus group holds back, while more comes. */
export const HELD_NOTICE_INTERVAL_MS = SECOND_MS;
/** Names in such a notice: a line. */
export const MAX_HELD_NAMES = 10;

/** Lists and byte streams of one session that may wait for the one before to be sent; each costs some 5 KiB. */
export const MAX_WAITING_ANSWERS = 24;

/** Bodies of `registerFile` that may be on their way in at once for one session: 2 MiB each at most. */
export const MAX_UPLOADS_PER_SESSION = 2;
/** The same for all sessions: 64 MiB. */
export const MAX_UPLOADS = 32;
/** How long the digests of a file may take to come. */
export const UPLOAD_DEADLINE_MS = 30 * SECOND_MS;
/** Bytes of chunk digests sent at a time. */
export const DIGEST_PAGE_BYTES = 32 * 1024;

/** Files a user may hold at once: more than one person shares, and a bound on memory. */
export const MAX_HOLDINGS = 10_000;
/** Chunks over all files that a user holds in part: 1 MiB of bitmaps. */
export const MAX_PARTIAL_CHUNKS = 8 * 1024 * 1024;
/** Distinct users whose reports end a holding (R15). */
export const REPORTERS_TO_DEMOTE = 3;
/** How long the same holding is then not believed, and how long a report counts. */
export const DEMOTION_MS = 10 * MINUTE_MS;

/** Introductions of one user per minute: a swarm of hundreds, no dial storm. */
export const INTRODUCTIONS_PER_MINUTE = 600;
/** How long the introduced user's client may take to say that it expects the link. */
export const EXPECT_DEADLINE_MS = 5 * SECOND_MS;
/** How long the probe of an advertised port may take. */
export const PROBE_DEADLINE_MS = 3 * SECOND_MS;
/** Probes of advertised ports of one user per minute: nobody scans ports through the server. */
export const PROBES_PER_MINUTE = 12;
/** The same at once for all users. */
export const MAX_PROBES = 16;

/** TLS handshakes at once: about a tenth of a second's work. */
export const MAX_HANDSHAKES = 128;
/** How long a handshake keeps others waiting: many times what one takes, and short for those who never answer. */
export const HANDSHAKE_MS = 250;
/** Operators' commands at once: each is a person or a script on this machine. */
export const MAX_OPERATORS = 8;
/** Connections to the metrics at once: a scraper or two, and a person who looks. */
export const MAX_SCRAPERS = 16;
/** How long a request for metrics may take to come. */
export const SCRAPE_DEADLINE_MS = 5 * SECOND_MS;

/** Descriptors left for the database, logs, probes and what Node itself opens. */
const RESERVED_DESCRIPTORS = 64;
/** Connections at most, whatever the system allows: memory. */
const MAX_CONNECTIONS = 20_000;
/**
 * Connections without login at most: everybody who comes back at once after an outage, since one that is ended to make room has wasted its
 * handshake. Each costs 18 KiB, 40 KiB during its handshake.
 */
const MAX_STRANGERS = 4_096;

export interface ConnectionLimits {
  readonly total: number;
  readonly perAddress: number;
  /** Connections that have not logged in, in all and of one address. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
}

/** Caps that stay below the process's descriptor limit (R19); one address cannot take everything. */
export function connectionLimits(descriptors = descriptorLimit()): ConnectionLimits {
  const total = Math.max(8, Math.min(MAX_CONNECTIONS, descriptors - RESERVED_DESCRIPTORS));
  const strangers = Math.min(MAX_STRANGERS, Math.ceil(total / 2));
  return {
    total,
    perAddress: Math.ceil(total * 0.75),
    strangers,
    strangersPerAddress: Math.ceil(strangers * 0.75),
  };
}

/** File descriptors this process may have. */
export function descriptorLimit(): number {
  try {
    const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
    const soft = Number(userLimits?.open_files?.soft);
    return Number.isFinite(soft) && soft > 0 ? soft : MAX_CONNECTIONS;
  } catch {
    return MAX_CONNECTIONS;
  }
}

/**
 * So many uses a minute, all at once or spread. On the server's own clock, which never jumps (R22): that is why it is not
 * rate-limiter-flexible, whose limiters read the time of day.
 */
export class RateLimit {
  readonly #perMinute: number;
  readonly #clock: Clock;
  #left: number;
  #at: number;

  constructor(perMinute: number, clock: Clock) {
    this.#perMinute = perMinute;
    this.#clock = clock;
    this.#left = perMinute;
    this.#at = clock.monotonicMs();
  }

  /** @throws ParleyError SERVER_BUSY when none is left */
  use(): void {
    const now = this.#clock.monotonicMs();
    this.#left = Math.min(this.#perMinute, this.#left + ((now - this.#at) / MINUTE_MS) * this.#perMinute);
    this.#at = now;
    if (this.#left < 1) throw new ParleyError('SERVER_BUSY');
    this.#left -= 1;
  }
}

/** So many at once; the next is refused. */
export class Slots {
  readonly #most: number;
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** The returned function gives the place back, once. @throws ParleyError SERVER_BUSY when all are taken */
  take(): () => void {
    if (this.#taken >= this.#most) throw new ParleyError('SERVER_BUSY');
    this.#taken += 1;
    let free = (): void => {
      this.#taken -= 1;
    };
    return () => {
      free();
      free = (): void => undefined;
    };
  }
}
