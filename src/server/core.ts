/** Everything of the server but the sockets: tests run it over links in memory. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../protocol/clock.js';
import { watchAccounts } from './accounts.js';
import { createAuthenticator } from './auth/authenticate.js';
import { Lockout } from './auth/lockout.js';
import type { Passwords } from './auth/passwords.js';
import { Blocks } from './blocks.js';
import { Client } from './client.js';
import type { Services } from './context.js';
import { DEFAULTS } from './config.js';
import { Conversations } from './conversations.js';
import { Groups } from './groups.js';
import { Indexing } from './indexing.js';
import { Introductions } from './introductions.js';
import { LEASE_MS, TOKEN_SWEEP_MS } from './limits.js';
import type { Place } from './listener.js';
import type { Log } from './log.js';
import { Presence } from './presence.js';
import { probePort } from './probe.js';
import type { Probe } from './probe.js';
import { Registry } from './registry.js';
import { startRetention } from './retention.js';
import type { Origin } from './session.js';
import { Sessions } from './sessions.js';
import type { Retention, Storage } from './storage/port.js';
import { Tally } from './tally.js';
import { InTurn } from '../protocol/turns.js';

export interface CoreOptions {
  /** Belongs to the caller, who closes it after the core. */
  readonly storage: Storage;
  readonly passwords: Passwords;
  /** How long three failed logins block, in milliseconds. */
  readonly blockMs: number;
  /** Inactivity after which a user is logged out, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** How long messages are kept that were read, of users without a setting of their own. Default: 365 days. */
  readonly retention?: Retention | undefined;
  /** Default 60 s. */
  readonly leaseMs?: number | undefined;
  /** Tests bring their own. */
  readonly probe?: Probe | undefined;
}

export interface Core {
  readonly services: Services;
  readonly sessions: Sessions;
  /** Serves a connection until it ends. */
  accept(duplex: Duplex, origin: Origin, place: Place): Client;
  /** Finishes what was begun, tells everyone, and ends all sessions. Idempotent. */
  close(): Promise<void>;
}

export async function startCore(options: CoreOptions): Promise<Core> {
  const { storage, passwords, clock, log, timeoutMs } = options;
  const leaseMs = options.leaseMs ?? LEASE_MS;
  const lockout = new Lockout({ blockMs: options.blockMs, now: () => clock.monotonicMs() });
  const blocks = new Blocks(storage);
  const presence = new Presence({ storage, blocks, clock, log });
  const tally = new Tally();
  const indexing = new Indexing({ storage, clock, log });
  const services: Services = {
    clock,
    log,
    storage,
    presence,
    blocks,
    conversations: new Conversations({ storage, presence, clock, log, tally, onStored: () => indexing.wake() }),
    groups: new Groups({ storage, presence, clock, log, endDead: (session) => sessions.end(session, 'lost') }),
    registry: new Registry({ storage, presence, clock, leaseMs }),
    listing: new InTurn(),
    introductions: new Introductions({ blocks, presence, probe: options.probe ?? probePort }),
    lockout,
    tally,
  };
  const authenticate = createAuthenticator({ storage, passwords, lockout });
  const sessions: Sessions = new Sessions({ services, authenticate, timeoutMs, leaseMs });
  const stopWatching = await watchAccounts(storage, clock, log, () => {
    services.groups.forgetMembers();
    return sessions.endRemoved();
  });
  await services.groups.start();
  const stopSweeping = sweepTokens(services);
  const fallback = options.retention ?? DEFAULTS.retentionDays;
  const stopRemoving = await startRetention({ storage, clock, log, fallback });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopWatching();
    stopSweeping();
    services.groups.close();
    await services.conversations.settled();
    // Whoever was waiting for a commit is answered in this turn.
    await new Promise(setImmediate);
    await sessions.endAll();
    await services.conversations.settled();
    await presence.close();
    await indexing.close();
    await stopRemoving();
  };
  return {
    services,
    sessions,
    accept: (duplex, origin, place) => new Client({ duplex, origin, place, services, sessions }),
    close: () => (closing ??= close()),
  };
}

/** Forgets tokens that have ended, now and then. */
function sweepTokens({ storage, clock, log }: Services): () => void {
  let cancel = (): void => undefined;
  const repeat = (): void => {
    cancel = clock.after(TOKEN_SWEEP_MS, () => {
      storage
        .removeExpiredResumeTokens(clock.epochMs())
        .catch((error: unknown) => log.warn({ err: error }, 'could not forget tokens that have ended'));
      repeat();
    });
  };
  repeat();
  return () => cancel();
}
