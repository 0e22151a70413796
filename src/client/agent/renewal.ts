/** Keeps the session and its holdings: renews what is shared, and counts what the user does here as activity. */
import { serverCommands } from '../../protocol/commands/server.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import type { Clock } from '../../protocol/clock.js';
import type { Session } from './session.js';

/** Renewing at a third of the shorter term leaves time for two more attempts. */
const PART_OF_TERM = 3;
/** Each pause is shorter by up to this part, so that a thousand clients of a restarted server do not renew in step. */
const JITTER = 0.2;
/** Commands answered here renew at most once in so many milliseconds: any more would tell the server nothing new. */
const TOUCH_EVERY_MS = 10_000;

export interface RenewalOptions {
  readonly session: Pick<Session, 'call'>;
  readonly clock: Clock;
  readonly random?: () => number;
  /** Whether something is shared or moving now. */
  readonly isNeeded: () => boolean;
}

export class Renewal {
  readonly #options: RenewalOptions;
  #cancel: () => void = () => undefined;
  #renewedMs = -Infinity;
  #touchEveryMs = TOUCH_EVERY_MS;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Begins, or begins anew with the terms of a resumed session. */
  start({ leaseSeconds, timeoutSeconds }: SessionStart): void {
    const everyMs = (Math.min(leaseSeconds, timeoutSeconds) * 1000) / PART_OF_TERM;
    this.#touchEveryMs = Math.min(TOUCH_EVERY_MS, everyMs);
    this.#plan(everyMs);
  }

  /** The user did something that only this agent saw. */
  touch(): void {
    if (this.#options.clock.monotonicMs() - this.#renewedMs >= this.#touchEveryMs) this.#renew();
  }

  stop(): void {
    this.#cancel();
    this.#cancel = () => undefined;
  }

  #plan(everyMs: number): void {
    const { clock, random = Math.random, isNeeded } = this.#options;
    this.#cancel();
    this.#cancel = clock.after(everyMs * (1 - JITTER * random()), () => {
      if (isNeeded()) this.#renew();
      this.#plan(everyMs);
    });
  }

  #renew(): void {
    this.#renewedMs = this.#options.clock.monotonicMs();
    // While the server is away there is nothing to renew: coming back announces everything anew.
    this.#options.session.call(serverCommands.renew, {}).catch(() => undefined);
  }
}
