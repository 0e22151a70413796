/** Writes verified blocks: on this thread while the disk takes them at once, through the thread pool while it does not. */
import type { Clock } from '../protocol/clock.js';

/** Milliseconds that a block may keep the loop: a page cache takes it in a third of one, a busy machine makes that tens. */
const SLOW_WRITE_MS = 80;
/** Milliseconds for which a disk that was slow once is not waited for on this thread. */
const SLOW_FOR_MS = 10_000;

/** What is written to; `at` is whatever it knows places by. */
export interface BlockSink {
  /** On this thread. */
  writeNow(at: number, bytes: Uint8Array, count: number): unknown;
  write(at: number, bytes: Uint8Array, count: number): Promise<unknown>;
}

/** One at a time: two writes to one file would only wait for each other, spinning in the kernel. */
export class BlockWriter {
  readonly #sink: BlockSink;
  readonly #clock: Clock;
  /** Settles when the blocks so far are written. */
  #written: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #slowUntil = -Infinity;

  constructor(sink: BlockSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  /** As the sink writes them: `count` blocks. `bytes` must not change until the promise settles. @throws what the sink throws */
  async write(at: number, bytes: Uint8Array, count = 1): Promise<void> {
    const begin = this.#clock.monotonicMs();
    if (this.#waiting === 0 && begin >= this.#slowUntil) {
      this.#sink.writeNow(at, bytes, count);
      const now = this.#clock.monotonicMs();
      if (now - begin > SLOW_WRITE_MS) this.#slowUntil = now + SLOW_FOR_MS;
      return;
    }
    this.#waiting += 1;
    const written = this.#written.then(() => this.#sink.write(at, bytes, count));
    this.#written = written.catch(() => undefined);
    try {
      await written;
    } finally {
      this.#waiting -= 1;
    }
  }
}
