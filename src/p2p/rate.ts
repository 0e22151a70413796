/** Measuring and limiting bytes a second. */
import type { Clock } from '../protocol/clock.js';
import { ParleyError } from '../protocol/errors.js';

/** Milliseconds over which a rate is measured: long enough to be steady, short enough to follow. */
const METER_WINDOW_MS = 4_000;
/** Milliseconds in one step of a meter. */
const METER_STEP_MS = 250;

/** How many bytes a second came in over the last few seconds. */
export class RateMeter {
  readonly #clock: Clock;
  readonly #began: number;
  /** Bytes of each step, newest last. */
  readonly #steps: { at: number; bytes: number }[] = [];
  #total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
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
    const overMs = Math.max(METER_STEP_MS, Math.min(METER_WINDOW_MS, now - this.#began));
    return Math.round((sum * 1000) / overMs);
  }

  #forget(now: number): void {
    while (this.#steps[0] !== undefined && now - this.#steps[0].at > METER_WINDOW_MS) this.#steps.shift();
  }
}

/** Lets bytes through at a rate, first come first served; after a pause at most one second's worth at once. */
export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  /** When all that was taken so far is paid for. */
  #paidAt: number;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#paidAt = clock.monotonicMs();
  }

  /** Whether something waits, or would have to. */
  get isHolding(): boolean {
    return this.#paidAt > this.#clock.monotonicMs();
  }

  /** Resolves when so many bytes may go. @throws ParleyError CANCELLED */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.monotonicMs();
    const free = Math.max(this.#paidAt, now - 1000);
    this.#paidAt = free + (bytes * 1000) / this.#bytesPerSecond;
    await wait(this.#clock, free - now, signal);
  }
}

/** Resolves after `delayMs`; at once when that is not positive. @throws ParleyError CANCELLED */
export async function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) throw new ParleyError('CANCELLED');
  if (delayMs <= 0) return;
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      cancel();
      reject(new ParleyError('CANCELLED'));
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}
