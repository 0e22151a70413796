/** What handlers work with. */
import type { Clock } from '../protocol/clock.js';
import type { Lockout } from './auth/lockout.js';
import type { Blocks } from './blocks.js';
import type { Conversations } from './conversations.js';
import type { Groups } from './groups.js';
import type { Introductions } from './introductions.js';
import type { Log } from './log.js';
import type { Presence } from './presence.js';
import type { Registry } from './registry.js';
import type { EndReason, Session } from './session.js';
import type { Storage } from './storage/port.js';
import type { Tally } from './tally.js';
import type { InTurn } from '../protocol/turns.js';

export interface Services {
  readonly clock: Clock;
  readonly log: Log;
  readonly storage: Storage;
  readonly presence: Presence;
  readonly blocks: Blocks;
  readonly conversations: Conversations;
  readonly groups: Groups;
  readonly registry: Registry;
  readonly introductions: Introductions;
  readonly lockout: Lockout;
  readonly tally: Tally;
  /** Long lists are made one at a time. */
  readonly listing: InTurn;
}

/** The context of a command of somebody who is logged in. */
export interface Context {
  readonly session: Session;
  readonly services: Services;
  readonly end: (session: Session, reason: EndReason) => Promise<void>;
}
