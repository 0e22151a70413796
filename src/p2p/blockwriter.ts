/** Writes verified blocks: on this thread while the disk takes them at once, through the thread pool while it does not. */
import type { Part } from '../chunks/part.js';
import type { Clock } from '../protocol/clock.js';

/** Milliseconds that a block may keep the loop: a page cache takes it in a third of one, a busy machine makes that tens. */
const SLOW_WRITE_MS = 80;
/** Milliseconds for which a disk that was slow once is not waited for on this thread. */
const SLOW_FOR_MS = 10_000;

/** One at a time: two writes to one file would only wait for each other, spinning in the kernel. */
export class BlockWriter {
  readonly #part: Pick<Part, 'write' | 'writeNow'>;
  readonly #clock: Clock;
  /** Settles when the blocks so far are written. */
  #written: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #slowUntil = -Infinity;

  constructor(part: Pick<Part, 'write' | 'writeNow'>, clock: Clock) {
    this.#part = part;
    this.#clock = clock;
  }

  /** As a part writes them: `count` blocks from `block` on. `bytes` must not change until the promise settles. @throws ParleyError DISK_FULL */
  async write(block: number, bytes: Uint8Array, count = 1): Promise<void> {
    const begin = this.#clock.monotonicMs();
    if (this.#waiting === 0 && begin >= this.#slowUntil) {
      this.#part.writeNow(block, bytes, count);
      const now = this.#clock.monotonicMs();
      if (now - begin > SLOW_WRITE_MS) this.#slowUntil = now + SLOW_FOR_MS;
      return;
    }
    this.#waiting += 1;
    const written = this.#written.then(() => this.#part.write(block, bytes, count));
    this.#written = written.catch(() => undefined);
    try {
      await written;
    } finally {
      this.#waiting -= 1;
    }
  }
}
