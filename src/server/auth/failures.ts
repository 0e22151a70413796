/** Counts of failed logins by some key: in a window, with a block, and in bounded memory. Pure state; the caller brings the time. */

export interface FailureRule {
  /** So many failures within the window block the key. */
  readonly limit: number;
  /** How long a failure counts. */
  readonly windowMs: number;
  /** How long a block lasts, given how many failures there were, the blocking one included. */
  readonly blockMs: (failures: number) => number;
  /** Whether a block uses its failures up. If not, each further failure within the window blocks anew. */
  readonly forgiving: boolean;
  /** Keys remembered. */
  readonly maxKeys: number;
}

interface Failure {
  readonly at: number;
  /** What it was about, to be taken back by. */
  readonly about: string;
}

interface Entry {
  /** The latest last; no more than the rule lets happen within a window. */
  failures: Failure[];
  blockedUntil: number;
}

/** Entries looked at for one whose block has ended before a blocked one is forgotten. */
const EVICTION_SCAN = 16;
/** How long to wait for attempts that are being decided: hashes take milliseconds. */
const UNDECIDED_MS = 1_000;

/**
 * Attempts that are under way count as if they had failed already: so many as are left can run, however many come at once. When none
 * are left and no block stands, one at a time can.
 */
export class FailureCounter {
  readonly #rule: FailureRule;
  /** In the order of their last failure. */
  readonly #entries = new Map<string, Entry>();
  readonly #underWay = new Map<string, number>();

  constructor(rule: FailureRule) {
    this.#rule = rule;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#entries.size;
  }

  /** How long this key has to wait, in milliseconds; 0 when an attempt may be made. */
  waitMs(key: string, now: number): number {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.blockedUntil > now) return entry.blockedUntil - now;
    const underWay = this.#underWay.get(key) ?? 0;
    if (underWay === 0 || this.#recent(entry, now).length + underWay < this.#rule.limit) return 0;
    return UNDECIDED_MS;
  }

  /** An attempt begins; each is followed by one `end`. */
  begin(key: string): void {
    this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
  }

  end(key: string): void {
    const left = (this.#underWay.get(key) ?? 0) - 1;
    if (left > 0) this.#underWay.set(key, left);
    else this.#underWay.delete(key);
  }

  /** `about` lets `withdraw` find it again. */
  fail(key: string, now: number, about = ''): void {
    const { limit, blockMs, forgiving } = this.#rule;
    const before = this.#entries.get(key);
    const failures = [...this.#recent(before, now), { at: now, about }];
    const entry: Entry = { failures, blockedUntil: before?.blockedUntil ?? -Infinity };
    if (failures.length >= limit) {
      entry.blockedUntil = now + blockMs(failures.length);
      entry.failures = forgiving ? [] : failures;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#forget(now);
  }

  /** Failures so far do not count any more. */
  reset(key: string): void {
    this.#entries.delete(key);
  }

  /** The same for every key that matches; returns whether one was blocked. Looks at all of them. */
  resetWhere(matches: (key: string) => boolean, now: number): boolean {
    let wasBlocked = false;
    for (const [key, { blockedUntil }] of this.#entries) {
      if (!matches(key)) continue;
      wasBlocked ||= blockedUntil > now;
      this.#entries.delete(key);
    }
    return wasBlocked;
  }

  /**
   * Failures about this do not count any more, whatever their key; a block that the others do not bear ends. Returns whether one did.
   * Looks at all keys. Only for counts whose blocks do not use failures up.
   */
  withdraw(about: string, now: number): boolean {
    let wasBlocked = false;
    for (const [key, entry] of this.#entries) {
      if (!entry.failures.some((failure) => failure.about === about)) continue;
      entry.failures = entry.failures.filter((failure) => failure.about !== about);
      if (entry.blockedUntil > now && this.#recent(entry, now).length < this.#rule.limit) {
        wasBlocked = true;
        entry.blockedUntil = -Infinity;
      }
      if (entry.failures.length === 0 && entry.blockedUntil <= now) this.#entries.delete(key);
    }
    return wasBlocked;
  }

  #recent(entry: Entry | undefined, now: number): Failure[] {
    return entry === undefined ? [] : entry.failures.filter(({ at }) => now - at < this.#rule.windowMs);
  }

  #isOver(entry: Entry, now: number): boolean {
    return entry.blockedUntil <= now && now - (entry.failures.at(-1)?.at ?? -Infinity) >= this.#rule.windowMs;
  }

  /** What is over goes from the front; beyond the cap what failed longest ago, and of the oldest rather one that is not blocked. */
  #forget(now: number): void {
    for (const [key, entry] of this.#entries) {
      if (!this.#isOver(entry, now)) break;
      this.#entries.delete(key);
    }
    if (this.#entries.size <= this.#rule.maxKeys) return;
    let oldest: string | undefined;
    let seen = 0;
    for (const [key, { blockedUntil }] of this.#entries) {
      oldest ??= key;
      if (blockedUntil <= now) {
        oldest = key;
        break;
      }
      if (++seen === EVICTION_SCAN) break;
    }
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
