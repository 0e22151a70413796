/** Measuring and limiting bytes a second. */
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';

/** Milliseconds over which a rate is measured: long enough to be steady, short enough to follow. */
const METER_WINDOW_MS = 4_000;
/** Milliseconds in one step of a meter. */
const METER_STEP_MS = 250;
/** Milliseconds of unused rate that may be caught up with after a pause. */
const MAX_SAVED_MS = 1_000;

/** How many bytes a second came in over the last few seconds, or over the last `windowMs` (250 ms at least). */
export class RateMeter {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #began: number;
  /** Bytes of each step, newest last. */
  readonly #steps: { at: number; bytes: number }[] = [];
  #total = 0;

  constructor(clock: Clock, windowMs = METER_WINDOW_MS) {
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#began = clock.monotonicMs();
  }

  /** All bytes ever added. */
  get total(): number {
    return this.#total;
  }

  add(bytes: number): void {
    const now = this.#clock.monotonicMs();
    const last = this.#steps.at(-1);
    this.#total += bytes;
    if (last !== undefined && now - last.at < METER_STEP_MS) last.bytes += bytes;
    else this.#steps.push({ at: now, bytes });
    this.#forget(now);
  }

  /** Bytes a second, whole. */
  rate(): number {
    const now = this.#clock.monotonicMs();
    this.#forget(now);
    const sum = this.#steps.reduce((bytes, step) => bytes + step.bytes, 0);
    const overMs = Math.max(METER_STEP_MS, Math.min(this.#windowMs, now - this.#began));
    return Math.round((sum * 1000) / overMs);
  }

  #forget(now: number): void {
    while (this.#steps[0] !== undefined && now - this.#steps[0].at > this.#windowMs) this.#steps.shift();
  }
}

/** What waits of one user, and what was let through of it. */
interface Line {
  /** Bytes let through, on a scale that all lines share: whoever has least of it is next. */
  given: number;
  /** In the order they came. */
  readonly waiting: Set<{ readonly bytes: number; readonly go: () => void }>;
}

/**
 * Lets bytes through at a rate: users by turns, so that each gets as many bytes, and what waits of one user in the order it came.
 * After a pause at most one second's worth goes at once. What gives up waiting has taken nothing.
 */
export class RateLimit {
  #bytesPerSecond: number;
  readonly #clock: Clock;
  /** By user: who waits, or had more than those who wait. */
  readonly #lines = new Map<string, Line>();
  /** Where the line that went last stood: one that was away for a while begins there, and has saved up nothing. */
  #level = 0;
  /** When all that was let through is paid for. */
  #paidAt: number;
  #cancelTimer: () => void = () => undefined;

  /** `bytesPerSecond`: Infinity lets everything through. */
  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#paidAt = clock.monotonicMs();
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** What went already is paid for at the new rate, too; what was not used of the old one is not caught up with. */
  set bytesPerSecond(bytesPerSecond: number) {
    const now = this.#clock.monotonicMs();
    const owedMs = this.#paidAt - now;
    // Nothing is owed at an infinite rate: no infinity is ever multiplied.
    this.#paidAt = owedMs > 0 ? now + (owedMs * this.#bytesPerSecond) / bytesPerSecond : now;
    this.#bytesPerSecond = bytesPerSecond;
    this.#letThrough();
  }

  /** Whether something waits, or would have to. */
  get isHolding(): boolean {
    return this.#paidAt > this.#clock.monotonicMs();
  }

  /** Resolves when so many bytes of this user may go. @throws ParleyError CANCELLED */
  async take(bytes: number, signal?: AbortSignal, user = ''): Promise<void> {
    if (signal?.aborted === true) throw new ParleyError('CANCELLED');
    if (this.#bytesPerSecond === Infinity) return;
    const line = this.#lineOf(user);
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        line.waiting.delete(turn);
        this.#letThrough();
        reject(new ParleyError('CANCELLED'));
      };
      const go = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const turn = { bytes, go };
      line.waiting.add(turn);
      signal?.addEventListener('abort', stop, { once: true });
      this.#letThrough();
    });
  }

  /** Gives back what was taken and did not go. */
  refund(bytes: number): void {
    this.#paidAt -= this.#costMs(bytes);
    this.#letThrough();
  }

  #lineOf(user: string): Line {
    const line = this.#lines.get(user) ?? { given: 0, waiting: new Set() };
    this.#lines.set(user, line);
    if (line.waiting.size === 0) line.given = Math.max(line.given, this.#level);
    return line;
  }

  #letThrough(): void {
    this.#cancelTimer();
    for (let line = this.#next(); line !== undefined; line = this.#next()) {
      const now = this.#clock.monotonicMs();
      if (this.#paidAt > now) {
        this.#cancelTimer = this.#clock.after(Math.ceil(this.#paidAt - now), () => this.#letThrough());
        return;
      }
      const [turn] = line.waiting;
      if (turn === undefined) return;
      line.waiting.delete(turn);
      this.#level = line.given;
      line.given += turn.bytes;
      this.#paidAt = Math.max(this.#paidAt, now - MAX_SAVED_MS) + this.#costMs(turn.bytes);
      turn.go();
    }
  }

  /** The line that was given least of those where somebody waits. */
  #next(): Line | undefined {
    let next: Line | undefined;
    for (const [user, line] of this.#lines) {
      if (line.waiting.size > 0) next = next === undefined || line.given < next.given ? line : next;
      else if (line.given <= this.#level) this.#lines.delete(user);
    }
    return next;
  }

  #costMs(bytes: number): number {
    return (bytes * 1000) / this.#bytesPerSecond;
  }
}
