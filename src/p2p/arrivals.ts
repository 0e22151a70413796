/** How long a holder has been waited for, and how fast bytes come from it meanwhile: seen at looks a few times a second. */
import type { Clock } from '../protocol/clock.js';
import { RateMeter } from './rate.js';

/** Milliseconds over which bytes are counted: one that stops sending is known soon. */
const WINDOW_MS = 1_000;

export class Arrivals {
  readonly #clock: Clock;
  #meter: RateMeter;
  #since: number;
  #linkBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#meter = new RateMeter(clock, WINDOW_MS);
    this.#since = clock.monotonicMs();
  }

  /** A look: whether anything asked for is waited for, and the bytes that the link has brought in all. */
  note(isAwaited: boolean, linkBytes: number): void {
    if (isAwaited) this.#meter.add(linkBytes - this.#linkBytes);
    else {
      // What comes after a pause is not to be measured by the pause.
      this.#meter = new RateMeter(this.#clock, WINDOW_MS);
      this.#since = this.#clock.monotonicMs();
    }
    this.#linkBytes = linkBytes;
  }

  /** Milliseconds in which something was waited for at every look. */
  get waitingMs(): number {
    return this.#clock.monotonicMs() - this.#since;
  }

  /** Bytes a second that came over the link within the last second, blocks or not; undefined when it was not waited for so long. */
  get rate(): number | undefined {
    return this.waitingMs < WINDOW_MS ? undefined : this.#meter.rate();
  }
}
