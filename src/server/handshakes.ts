/**
 * TLS handshakes, so many at a time. All at once each would be done only when all are, which is too late for every one of them when
 * thousands come back after an outage; what waits costs a descriptor and nothing else.
 */
import type { Clock } from '../protocol/clock.js';
import { HANDSHAKE_MS, MAX_HANDSHAKES } from './limits.js';

interface Job {
  readonly begin: () => void;
  state: 'waiting' | 'running' | 'over';
  cancel: () => void;
}

export class Handshakes {
  readonly #clock: Clock;
  readonly #waiting: Job[] = [];
  #running = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `begin` now or when its turn has come. The returned function, which may be called again, says that it is over or not wanted. */
  enter(begin: () => void): () => void {
    const job: Job = { begin, state: 'waiting', cancel: () => undefined };
    this.#waiting.push(job);
    this.#runNext();
    return () => this.#leave(job);
  }

  /** The newest first: its client has the longest patience left, and those who only hold connections open are not waited for. */
  #runNext(): void {
    while (this.#running < MAX_HANDSHAKES) {
      const job = this.#waiting.pop();
      if (job === undefined) return;
      job.state = 'running';
      this.#running += 1;
      // One that takes longer goes on, but keeps nobody waiting.
      job.cancel = this.#clock.after(HANDSHAKE_MS, () => this.#leave(job));
      job.begin();
    }
  }

  #leave(job: Job): void {
    const { state } = job;
    job.state = 'over';
    if (state === 'waiting') this.#waiting.splice(this.#waiting.indexOf(job), 1);
    if (state !== 'running') return;
    job.cancel();
    this.#running -= 1;
    this.#runNext();
  }
}
