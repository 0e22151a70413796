/** What needs not be read again before a file gets its name: what this process checked and wrote itself, with no pause since (R26). */
import { BitSet } from './bits.js';
import type { BlockRange } from './plan.js';

/**
 * Milliseconds without a write after which everything is read again at the end: a part stays open between two downloads, for days, and
 * another program may have had its hands on it meanwhile.
 */
export const FRESH_MS = 1000;

/**
 * Reading back what was just written shows the page cache, not the disk, and costs a sixth of a download. What the disk refuses shows when it
 * is synced.
 */
export class FreshBlocks {
  readonly #now: () => number;
  readonly #blocks: BitSet;
  #lastAt: number;

  /** Of a file of so many blocks. `now`: milliseconds of a monotonic clock. */
  constructor(blocks: number, now: () => number) {
    this.#now = now;
    this.#blocks = new BitSet(blocks);
    this.#lastAt = now();
  }

  /** Verified bytes of these were just written, or read back. */
  add(blocks: BlockRange): void {
    this.#expire();
    this.#blocks.addRun(blocks);
  }

  delete(block: number): void {
    this.#blocks.delete(block);
  }

  /** All of them are to be read again. */
  clear(): void {
    this.#blocks.clear();
  }

  /** Those to be read again. */
  others(): BlockRange[] {
    this.#expire();
    return [...this.#blocks.runs(false)];
  }

  #expire(): void {
    const now = this.#now();
    if (now - this.#lastAt > FRESH_MS) this.#blocks.clear();
    this.#lastAt = now;
  }
}
