/** A user's session: who, on which connection, with which key, since when silent, and where they can be linked with. */
import type { Connection } from '../protocol/connection.js';
import type { Clock } from '../protocol/clock.js';
import type { KeyFingerprint, UserName } from '../protocol/values.js';
import { INTRODUCTIONS_PER_MINUTE, MAX_UPLOADS_PER_SESSION, PROBES_PER_MINUTE, RateLimit, Slots } from './limits.js';
import type { Focus } from './focus.js';
import type { Pump } from './pump.js';
import type { UserId } from './storage/port.js';
import { InTurn } from '../protocol/turns.js';

/** The key that the connection proved. */
export interface SessionKey {
  /** SubjectPublicKeyInfo, DER, base64. */
  readonly publicKey: string;
  readonly fingerprint: KeyFingerprint;
}

/** Where a connection comes from and who holds its other end. */
export interface Origin {
  /** IPv4-mapped addresses as IPv4. */
  readonly address: string;
  /** The server's own address as the other end sees it. */
  readonly localAddress: string;
  readonly key: SessionKey | undefined;
}

/** Whether others can open links to the session's client. */
export type Reach =
  | { readonly kind: 'not advertised' }
  | { readonly kind: 'unreachable'; readonly port: number; readonly reason: string }
  | {
      readonly kind: 'reachable';
      readonly port: number;
      /** Addresses where it was looked whether its key answers, and what was found. */
      readonly hosts: Map<string, boolean>;
    };

/** Why a session ended. */
export type EndReason = 'logout' | 'idle' | 'replaced' | 'resumed' | 'removed' | 'kicked' | 'lost' | 'stopping';

export interface SessionParts {
  readonly user: { readonly id: UserId; readonly name: UserName };
  readonly origin: Origin;
  readonly connection: Connection;
  readonly pump: Pump;
  readonly clock: Clock;
}

export class Session {
  readonly user: { readonly id: UserId; readonly name: UserName };
  readonly origin: Origin;
  readonly connection: Connection;
  readonly pump: Pump;
  reach: Reach = { kind: 'not advertised' };
  /** The focus group that the user is in. */
  focus: Focus | undefined = undefined;
  /** The first of the presence's news that this session is told. */
  newsFrom = 0;
  /** When it began, in epoch milliseconds. */
  readonly since: number;
  /** Monotonic milliseconds. */
  lastActiveMs: number;
  /** Messages of one sender are prepared one after the other, so that they are stored in the order they came. */
  readonly sending = new InTurn();
  /** Lists and byte streams are made one at a time, so that a client that does not read cannot pile them up (R18). */
  readonly answering = new InTurn();
  readonly uploads = new Slots(MAX_UPLOADS_PER_SESSION);
  readonly introductions: RateLimit;
  readonly probes: RateLimit;

  constructor({ user, origin, connection, pump, clock }: SessionParts) {
    this.user = user;
    this.origin = origin;
    this.connection = connection;
    this.pump = pump;
    this.since = clock.epochMs();
    this.lastActiveMs = clock.monotonicMs();
    this.introductions = new RateLimit(INTRODUCTIONS_PER_MINUTE, clock);
    this.probes = new RateLimit(PROBES_PER_MINUTE, clock);
  }
}
