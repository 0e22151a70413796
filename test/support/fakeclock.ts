import type { Clock } from '../../src/protocol/clock.js';

/** A clock that stands still until it is turned. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #epochOffsetMs: number;
  #timers = new Set<{ at: number; task: () => void }>();

  constructor(epochMs = Date.UTC(2030, 0, 1)) {
    this.#epochOffsetMs = epochMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  epochMs(): number {
    return this.#epochOffsetMs + this.#nowMs;
  }

  /** Moves only what people call the time, as when a clock is set. */
  jump(ms: number): void {
    this.#epochOffsetMs += ms;
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { at: this.#nowMs + delayMs, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Runs every timer that falls due, in order, with the loop turning between them. */
  async advance(ms: number): Promise<void> {
    const until = this.#nowMs + ms;
    while (true) {
      let next: { at: number; task: () => void } | undefined;
      for (const timer of this.#timers) {
        if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
      }
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.task();
      await new Promise(setImmediate);
    }
    this.#nowMs = until;
    await new Promise(setImmediate);
  }
}
