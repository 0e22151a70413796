/**
 * Who may try to log in now (R2, R3, R4). Four counts of failed attempts:
 *
 * | failures of | block | for |
 * | --- | --- | --- |
 * | account from an address | 3 in a row | `blockMs`, then 3 more |
 * | an address, any accounts | 10 in 10 minutes | `blockMs`, then for each further one |
 * | an account by a device that is not known | 100 in a day | 1 s, doubling with each further one to 15 minutes |
 * | an account by a known device | 3 in a row | `blockMs`, then 3 more |
 *
 * So attempts on an account from many addresses slow strangers down, and never a device whose key has logged in before.
 * rate-limiter-flexible's memory limiter does not fit: it has its own clock and timers, no bound on its keys, and counts an
 * attempt after it was made, where a limit against guesses has to hold while they are under way.
 */
import { nameKey } from '../../protocol/values.js';
import type { KeyFingerprint } from '../../protocol/values.js';
import { addressKey } from './addresses.js';
import { FailureCounter } from './failures.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Failures in a row of one account from one address. */
const MAX_IN_A_ROW = 3;
/** How long a failure waits for the next to be in a row: memory has to end somewhere. */
const ROW_WINDOW_MS = DAY_MS;
/** Failures of an address over all accounts, and the time they count. */
const MAX_PER_ADDRESS = 10;
const ADDRESS_WINDOW_MS = 10 * MINUTE_MS;
/** Failures on an account by unknown devices until they are slowed down, and the time they count. */
const MAX_PER_ACCOUNT = 100;
const ACCOUNT_WINDOW_MS = DAY_MS;
/** The most that strangers have to wait because of other strangers. */
const MAX_DELAY_MS = 15 * MINUTE_MS;
/**
 * Keys kept for each count, some 10 MB at worst. Each key costs its maker an Argon2 hash of the server's, about a hundred a second in
 * all, and an address gets ten: pushing another key out takes minutes and thousands of addresses, longer than a usual block.
 */
const MAX_KEYS = 50_000;

export interface LoginAttempt {
  /** As typed; it need not exist. */
  readonly account: string;
  /** Where the connection comes from. */
  readonly address: string;
  /** The key this connection proved, only if this account has logged in with it before. */
  readonly knownDevice?: KeyFingerprint | undefined;
}

export type LoginDecision =
  | {
      readonly kind: 'allowed';
      /** What became of it, once: `abandoned` when the password was not judged. */
      readonly settle: (outcome: 'success' | 'failure' | 'abandoned') => void;
    }
  | { readonly kind: 'locked'; readonly retryAfterSeconds: number };

export interface LockoutOptions {
  /** How long three failures in a row block: the server's `block_duration`, in milliseconds. */
  readonly blockMs: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: (() => number) | undefined;
  /** Keys kept for each count; default 50,000. */
  readonly maxKeys?: number | undefined;
}

interface Count {
  readonly counter: FailureCounter;
  readonly key: string;
  /** Whether a success wipes it. */
  readonly inARow: boolean;
}

export class Lockout {
  readonly #now: () => number;
  readonly #pairs: FailureCounter;
  readonly #addresses: FailureCounter;
  readonly #accounts: FailureCounter;
  readonly #devices: FailureCounter;

  constructor({ blockMs, now = () => performance.now(), maxKeys = MAX_KEYS }: LockoutOptions) {
    const block = (): number => blockMs;
    const row = { limit: MAX_IN_A_ROW, windowMs: ROW_WINDOW_MS, blockMs: block, forgiving: true, maxKeys };
    this.#now = now;
    this.#pairs = new FailureCounter(row);
    this.#devices = new FailureCounter(row);
    this.#addresses = new FailureCounter({
      limit: MAX_PER_ADDRESS,
      windowMs: ADDRESS_WINDOW_MS,
      blockMs: block,
      forgiving: false,
      maxKeys,
    });
    this.#accounts = new FailureCounter({
      limit: MAX_PER_ACCOUNT,
      windowMs: ACCOUNT_WINDOW_MS,
      blockMs: (failures) => Math.min(SECOND_MS * 2 ** (failures - MAX_PER_ACCOUNT), MAX_DELAY_MS),
      forgiving: false,
      maxKeys,
    });
  }

  /** Whole seconds this attempt has to wait, 1 or more; undefined when it may be made now. Reserves nothing. */
  retryAfterSeconds(attempt: LoginAttempt): number | undefined {
    return this.#retryAfter(this.#counts(attempt));
  }

  /** Asks for an attempt and reserves it, before the password is judged: attempts under way count as failures. */
  begin(attempt: LoginAttempt): LoginDecision {
    const counts = this.#counts(attempt);
    const retryAfterSeconds = this.#retryAfter(counts);
    if (retryAfterSeconds !== undefined) return { kind: 'locked', retryAfterSeconds };
    for (const { counter, key } of counts) counter.begin(key);
    const about = nameKey(attempt.account);
    let settled = false;
    return {
      kind: 'allowed',
      settle: (outcome) => {
        if (settled) return;
        settled = true;
        const now = this.#now();
        for (const { counter, key, inARow } of counts) {
          counter.end(key);
          if (outcome === 'failure') counter.fail(key, now, about);
          if (outcome === 'success' && inARow) counter.reset(key);
        }
      },
    };
  }

  /**
   * Takes back every failure of this account: its counts from any address, by any device and by strangers go, and of an address's
   * count what this account added. An address stays blocked when its failures on other accounts suffice for that: who tried many
   * names is not let off for one of them. Returns whether a block ended.
   */
  unlock(account: string): boolean {
    const now = this.#now();
    const name = nameKey(account);
    // No address and no device has a line break in it.
    const ofAccount = (key: string): boolean => key.slice(key.indexOf('\n') + 1) === name;
    const ended = [
      this.#pairs.resetWhere(ofAccount, now),
      this.#devices.resetWhere(ofAccount, now),
      this.#accounts.resetWhere((key) => key === name, now),
      this.#addresses.withdraw(name, now),
    ];
    return ended.includes(true);
  }

  #counts({ account, address, knownDevice }: LoginAttempt): Count[] {
    const from = addressKey(address);
    const name = nameKey(account);
    return [
      { counter: this.#pairs, key: `${from}\n${name}`, inARow: true },
      { counter: this.#addresses, key: from, inARow: false },
      knownDevice === undefined
        ? { counter: this.#accounts, key: name, inARow: false }
        : { counter: this.#devices, key: `${knownDevice}\n${name}`, inARow: true },
    ];
  }

  #retryAfter(counts: readonly Count[]): number | undefined {
    const now = this.#now();
    const waitMs = Math.max(...counts.map(({ counter, key }) => counter.waitMs(key, now)));
    return waitMs > 0 ? Math.max(1, Math.ceil(waitMs / SECOND_MS)) : undefined;
  }
}
