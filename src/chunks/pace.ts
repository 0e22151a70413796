/** Small questions to the file system: on this thread while it answers from memory, through the thread pool while it does not. */
import { read as readCallback, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';

const readInPool = promisify(readCallback);

/** Milliseconds that an answer from memory does not take; one from a disk does. */
const FROM_DISK_MS = 0.3;
/** Milliseconds for which a disk that was waited for is not waited for on this thread. */
const SLOW_FOR_MS = 100;
/** Milliseconds before others have their turn. */
const TURN_MS = 5;
/** Bytes that are copied before a thread of the pool has begun with it. */
const SMALL_READ_BYTES = 256 * 1024;

/** Handing a question to a thread and back costs ten times what the answer does: 50 us for looking at a file that takes 4. */
export class Pace {
  readonly #now: () => number;
  #slowUntil = -Infinity;
  #turnAt = -Infinity;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** One of the two, which do the same. */
  async run<T>(onThisThread: () => T, inThePool: () => Promise<T>): Promise<T> {
    if (this.#now() - this.#turnAt > TURN_MS) {
      await setImmediate();
      this.#turnAt = this.#now();
    }
    const begin = this.#now();
    if (begin < this.#slowUntil) return inThePool();
    try {
      return onThisThread();
    } finally {
      const now = this.#now();
      if (now - begin > FROM_DISK_MS) this.#slowUntil = now + SLOW_FOR_MS;
    }
  }

  /** Reads up to `length` bytes of an open file from `position` on, and returns how many. */
  async read(fd: number, target: Uint8Array, start: number, length: number, position: number): Promise<number> {
    const inThePool = async (): Promise<number> => (await readInPool(fd, target, start, length, position)).bytesRead;
    if (length > SMALL_READ_BYTES) return inThePool();
    return this.run(() => readSync(fd, target, start, length, position), inThePool);
  }
}
